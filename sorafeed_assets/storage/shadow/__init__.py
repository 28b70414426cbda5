"""SQL of comparing with the old system: its own queries on its catalogue, and ours beside them."""

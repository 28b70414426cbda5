"""Redis: its client and keys, and the SQL of the snapshots that are written to it."""

"""Whether Dagster's records equal the stored state, for every asset; and failed runs."""

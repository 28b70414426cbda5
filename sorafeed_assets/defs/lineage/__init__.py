"""Whether what Dagster has recorded is what is stored, for every asset; and failed runs."""

"""Counts, caches and per-display video timelines as a Dagster asset graph."""

"""The catalogue in Dagster: written by a scanner outside, observed here."""

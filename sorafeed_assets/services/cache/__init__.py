"""Snapshots in Redis: writing, checking and reading them."""

"""Playlists of each display, written outside Dagster, and which one is active."""

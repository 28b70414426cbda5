"""Playlists and blocks: what is valid, which is active, how a CSV reads. No I/O."""

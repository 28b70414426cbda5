"""The demo: a generated catalogue, playlists and clips that look like the real ones.

Generated content belongs here. The engine does not import it; commands and benchmarks do.
"""

"""The demo: a generated catalogue, playlists and clips that look like the real ones.

Here belongs what is made up. The engine imports nothing of it; commands and benchmarks do.
"""

"""SQL of displays, playlists and blocks.

What a display plays of them is in `storage.timelines`.
"""

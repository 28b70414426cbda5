"""SQL of displays, playlists and blocks.

Plans and queues are in `storage.timelines`.
"""

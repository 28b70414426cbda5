"""The rules of what the old system's displays, playlists, plays and stored posts become here.

Not here: reading them (`storage.legacy`), and posts of the old catalogue, which its own server
converts.
"""

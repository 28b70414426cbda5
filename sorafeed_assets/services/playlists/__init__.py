"""Displays and playlists: creating, editing and activating them.

`activation` decides which playlist is active, with `timetables` where the clock does; `locking`
comes before each change of a playlist.
"""

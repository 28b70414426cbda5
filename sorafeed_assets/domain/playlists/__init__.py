"""Playlists and blocks: what is valid, which playlist is active, how a CSV file is read.

How a playlist is played belongs to `domain.timelines`.
"""

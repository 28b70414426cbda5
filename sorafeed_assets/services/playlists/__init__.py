"""Displays and playlists: creating, editing, activating."""

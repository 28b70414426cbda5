"""SQL of displays, playlists and blocks."""

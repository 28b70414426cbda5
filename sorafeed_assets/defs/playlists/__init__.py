"""What each display is told to play: playlists written outside, and which one is active."""

"""The demo: a generated catalogue, texts, playlists and clips. Nothing of the engine imports it."""

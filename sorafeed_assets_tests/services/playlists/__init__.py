"""Tests of `sorafeed_assets.services.playlists`."""

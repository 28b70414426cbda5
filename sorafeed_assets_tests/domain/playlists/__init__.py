"""Tests of `sorafeed_assets.domain.playlists.playlist`."""

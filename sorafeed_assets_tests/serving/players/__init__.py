"""Tests of `sorafeed_assets.serving.players.routes`."""

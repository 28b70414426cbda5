"""Tests of `sorafeed_assets.serving.live`."""

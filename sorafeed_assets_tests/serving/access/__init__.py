"""Tests of `sorafeed_assets.serving.access.access`."""

"""Tests of `sorafeed_assets.serving.pages.routes`."""

"""Tests of `sorafeed_assets.serving.http`."""

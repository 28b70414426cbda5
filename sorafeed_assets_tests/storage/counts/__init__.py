"""Tests of `sorafeed_assets.storage.counts`."""

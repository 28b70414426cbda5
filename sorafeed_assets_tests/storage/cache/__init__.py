"""Tests of `sorafeed_assets.storage.cache`."""

"""Tests of `sorafeed_assets.storage.catalog`."""

"""Tests of `sorafeed_assets.storage.postgres`."""

"""Tests of `sorafeed_assets.services.cache`."""

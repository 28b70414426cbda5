"""Tests of `sorafeed_assets.services.counts`."""

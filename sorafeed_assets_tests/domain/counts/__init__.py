"""Tests of `sorafeed_assets.domain.counts`."""

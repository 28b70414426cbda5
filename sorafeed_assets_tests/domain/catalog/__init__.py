"""Tests of `sorafeed_assets.domain.catalog`."""

"""Tests of `sorafeed_assets.domain.shadow`."""

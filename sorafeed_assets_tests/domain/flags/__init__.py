"""Tests of `sorafeed_assets.domain.flags`."""

"""Tests of `sorafeed_assets.domain.rollouts`."""

"""Tests of `sorafeed_assets.defs.rollouts`."""

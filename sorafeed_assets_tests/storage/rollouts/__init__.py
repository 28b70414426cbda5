"""Tests of `sorafeed_assets.storage.rollouts`."""

"""Tests of `sorafeed_assets.services.rollouts`."""

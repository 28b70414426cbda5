"""Tests of `sorafeed_assets.domain.timelines.plan`."""

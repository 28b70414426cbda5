"""Tests of `sorafeed_assets.demo`."""

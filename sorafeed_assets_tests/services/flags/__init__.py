"""Tests of `sorafeed_assets.services.flags`."""

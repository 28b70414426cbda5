"""Tests of `sorafeed_assets.services.timelines.service`."""

"""Tests of `sorafeed_assets.serving.graphql`."""

"""The `sorafeed` command: reads arguments, calls a service, prints."""

from sorafeed_assets.cli.app import main

__all__ = ["main"]

"""The `sorafeed` command: reads arguments, calls a service, prints."""

import os
import sys


def main() -> None:
    """Run the command; an error a user can act on is one message, not a traceback."""
    from sorafeed_assets.cli.app import COMMANDS, build
    from sorafeed_assets.domain.errors import SorafeedError

    completes = "_SORAFEED_COMPLETE" in os.environ
    try:
        # Built here, because loading the definitions reads the settings, which may be wrong.
        build(*(COMMANDS if completes else sys.argv[1:2]))()
    except SorafeedError as error:
        text = str(error)
    except Exception as error:
        # Imported this late, because most commands get here without it.
        from sqlalchemy.exc import OperationalError

        if not isinstance(error, OperationalError):
            raise
        text = (
            f"PostgreSQL does not answer as it should: {str(error.orig).strip()};"
            " start it with `sorafeed up`, or check SORAFEED_DATABASE_URL and SORAFEED_DAGSTER_URL"
        )
    from rich.console import Console
    from rich.markup import escape

    message = f"[bold red]Error:[/] {escape(text)}"
    Console(stderr=True).print(message, highlight=False, soft_wrap=True)
    sys.exit(1)


__all__ = ["main"]

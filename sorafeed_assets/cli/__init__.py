"""The `sorafeed` command: reads arguments, calls a service, prints."""

import sys


def main() -> None:
    """Run the command; an error a user can act on is one message, not a traceback."""
    from rich.console import Console
    from rich.markup import escape
    from sqlalchemy.exc import OperationalError

    from sorafeed_assets.domain.errors import SorafeedError

    try:
        # Imported here, because loading the definitions reads the settings, which may be wrong.
        from sorafeed_assets.cli.app import app

        app()
    except SorafeedError as error:
        text = str(error)
    except OperationalError as error:
        text = (
            f"PostgreSQL does not answer as it should: {str(error.orig).strip()};"
            " start it with `sorafeed up`, or check SORAFEED_DATABASE_URL and SORAFEED_DAGSTER_URL"
        )
    message = f"[bold red]Error:[/] {escape(text)}"
    Console(stderr=True).print(message, highlight=False, soft_wrap=True)
    sys.exit(1)


__all__ = ["main"]

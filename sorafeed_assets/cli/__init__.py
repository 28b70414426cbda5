"""The `sorafeed` command: reads arguments, calls a service, prints."""

import atexit
import gc
import os
import sys
from typing import Final

# Commands that print, and end. Importing makes some 150,000 objects and no garbage, so that looking
# for garbage takes about a tenth of their time, and once more at the end.
_BRIEF: Final = frozenset(
    {
        *("blocklist", "counts", "displays", "flags", "playlists", "rollout", "status", "timeline"),
        *("timetable", "tokens"),
    }
)


def main() -> None:
    """Run the command; an error a user can act on is one message, not a traceback."""
    if _BRIEF.intersection(sys.argv[1:2]):
        gc.disable()
        atexit.register(gc.freeze)
    from sorafeed_assets.cli.app import build
    from sorafeed_assets.cli.exits import FAILED
    from sorafeed_assets.domain.errors import SorafeedError
    from sorafeed_assets.domain.wording import error_text

    try:
        # Built here, because loading the definitions reads the settings, which may be wrong.
        build(*_called())()
    except SorafeedError as error:
        text = error_text(error)
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
    sys.exit(FAILED)


def _called() -> list[str]:
    """The subcommand that is called; for a shell's completion the one before the word to complete.

    All names are known without importing any subcommand.
    """
    if "_SORAFEED_COMPLETE" not in os.environ:
        return sys.argv[1:2]
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    return words.split()[1:2]


__all__ = ["main"]

"""`sorafeed shadow run`: what is due is compared, until it is stopped.

An error that may pass, such as a server that is away, is reported and retried; another one ends it.
"""

from collections.abc import Callable
from threading import Event
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.shadow.run import Pass, Progress, Shadow, compare_due
from sorafeed_assets.storage.postgres.retry import is_conflict, is_lost

_LOOK_SECONDS: Final = 60.0


def compare_until_stopped(
    shadow: Shadow,
    stop: Event,
    on_progress: Progress,
    on_pass: Callable[[Pass], None],
    on_problem: Callable[[str], None],
) -> None:
    """Look once a minute for what is due.

    Args:
        shadow: what is compared.
        stop: ends it soon.
        on_progress: called with (step, done, total).
        on_pass: called after each pass.
        on_problem: called with the text of an error that is retried.
    """
    while not stop.is_set():
        try:
            on_pass(compare_due(shadow, stop, on_progress))
        except UnavailableError as error:
            on_problem(str(error))
        except SQLAlchemyError as error:
            if not is_lost(error) and not is_conflict(error):
                raise
            on_problem(f"PostgreSQL does not answer as it should: {error}")
        stop.wait(_LOOK_SECONDS)

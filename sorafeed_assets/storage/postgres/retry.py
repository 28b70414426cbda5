"""Transient database errors, and retries of transactions after them.

The message to a client about such an error belongs to the floor that answers.
"""

import functools
import random
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from psycopg.errors import InterfaceError, OperationalError, QueryCanceled
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from sorafeed_assets.domain.errors import BusyError

ATTEMPTS: Final = 3
# No attempt begins after this time: a lock time-out has already waited for its seconds.
_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.05

# Lock time-out, deadlock, serialization failure: the transaction was rolled back as a whole.
_CONFLICTS: Final = frozenset({"55P03", "40P01", "40001"})
# A row that is referred to was deleted meanwhile: the next attempt finds that it is gone.
_DELETED: Final = "23503"
# 08: connection lost, 53: too few resources for one, 57P: the server shuts down or closed it.
_LOST: Final = ("08", "53", "57P")

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def retried(work: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Retry a function whose transaction lost a conflict with another one, or a row to its delete.

    The function must open and commit its transaction itself. It may have several if a second
    call continues where the first one stopped.

    Raises:
        BusyError: the last attempt lost too; its transaction was rolled back.
    """

    @functools.wraps(work)
    def attempt(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        started = time.monotonic()
        for number in range(1, ATTEMPTS + 1):
            try:
                return work(*args, **kwargs)
            except DBAPIError as error:
                is_last = number == ATTEMPTS or time.monotonic() - started > _SECONDS
                if not is_conflict(error) and (is_last or _state(error) != _DELETED):
                    raise
                if is_last:
                    raise BusyError(
                        "the database is busy; nothing was changed; try again in a moment"
                    ) from error
            # Jitter, so that two transactions in conflict do not collide again.
            time.sleep(_PAUSE_SECONDS * number * random.uniform(0.5, 1.5))  # noqa: S311  # a pause
        raise AssertionError("the last attempt returns or raises")

    return attempt


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction was rolled back because of another one, or waited too long."""
    return isinstance(error, DBAPIError) and _state(error) in _CONFLICTS


def is_timeout(error: BaseException) -> bool:
    """Whether a statement was cancelled because it ran too long."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, QueryCanceled)


def is_lost(error: BaseException) -> bool:
    """Whether PostgreSQL cannot be reached, or closed the connection."""
    if isinstance(error, PendingRollbackError):
        # A statement on a connection that was lost within a savepoint.
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    if state is None:
        # No answer at all; other errors without a SQLSTATE are raised before anything is sent.
        return isinstance(error.orig, (OperationalError, InterfaceError))
    return error.connection_invalidated or state.startswith(_LOST)


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return None if state is None else str(state)

"""Work that is refused for now: a server is busy or does not answer."""

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sorafeed_assets.domain.errors import BusyError, UnavailableError
from sorafeed_assets.storage.postgres.retry import is_conflict, is_lost, is_timeout

NOT_BEGUN: Final = "the server is busy; nothing was changed; try again in a moment"

_Result = TypeVar("_Result")


def begun_in_time(work: Callable[[], _Result], deadline: float) -> _Result:
    """Do work, unless its deadline (monotonic seconds) has passed.

    Raises:
        BusyError: it has.
    """
    if monotonic() > deadline:
        raise BusyError(NOT_BEGUN)
    return work()


def unavailable_for(error: SQLAlchemyError) -> UnavailableError | None:
    """The error for a client when a database error is temporary; None when it is not."""
    if isinstance(error, PoolTimeoutError) or is_conflict(error):
        return BusyError("the server is busy; try again in a moment")
    if is_timeout(error):
        return BusyError("this takes PostgreSQL too long; ask for less, or try again later")
    if is_lost(error):
        return UnavailableError("PostgreSQL does not answer; try again in a moment")
    return None

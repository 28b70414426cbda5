"""Cursors of lists that are ordered by time, the latest first."""

from datetime import UTC, datetime
from uuid import UUID

from sorafeed_assets.domain.catalog.blocklist import Kind, Target
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.paging import PageList
from sorafeed_assets.storage.lists import After


def time_cursor(of: PageList, moment: datetime, row_id: UUID) -> str:
    """The cursor of a row of a list that is ordered by time, the latest first."""
    return of.cursor([moment.isoformat(), str(row_id)])


def time_key(of: PageList, cursor: str) -> After:
    """Decode a cursor of `time_cursor`.

    Raises:
        InvalidInputError: it is not a cursor of this list.
    """
    moment, row_id = of.key(cursor, str, str)
    try:
        return After(moment_in(str(moment)), UUID(str(row_id)))
    except ValueError:
        raise _no_cursor() from None


def entry_key(of: PageList, cursor: str | None) -> tuple[datetime, Target] | None:
    """Decode a cursor of the blocklist; None for none.

    Raises:
        InvalidInputError: it is not a cursor of this list.
    """
    if cursor is None:
        return None
    moment, kind, target_id = map(str, of.key(cursor, str, str, str))
    try:
        return moment_in(moment), Target(Kind(kind), target_id)
    except ValueError:
        raise _no_cursor() from None


def moment_in(written: str) -> datetime:
    """The time that a cursor names.

    Raises:
        InvalidInputError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(written)
        # PostgreSQL accepts fewer time zones than Python.
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _no_cursor() from None


def _no_cursor() -> InvalidInputError:
    return InvalidInputError("after", "is not a cursor; use an endCursor of this list")

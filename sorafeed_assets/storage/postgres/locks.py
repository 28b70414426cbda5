"""Advisory locks: one writer at a time for a display, its snapshot, and an asset's lineage.

They are held until the transaction ends. A transaction acquires the keys of one space in one
order, and spaces in the order of their numbers, so that two transactions never deadlock on them.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

from sqlalchemy import Connection, Engine, text

_POLL_SECONDS: Final = 0.2


class LockSpace(IntEnum):
    """The kinds of locks; the keys of a space are ids of that kind."""

    FLAG = 7_204_000
    """The flags, one lock for all: held while a definition is changed, before the displays."""
    DISPLAY = 7_204_001
    """A display's playlists, build and queue."""
    SNAPSHOT = 7_204_002
    """A key in Redis: held from the read in PostgreSQL until Redis has the value; by a play only
    until its commit, as versions order what is written after it."""
    ASSET = 7_204_003
    """An unpartitioned asset: held while what it holds is changed and recorded."""
    RECORDER = 7_204_004
    """An asset's events in Dagster: held while lineage records are given to it."""


_PLAN_AS_USUAL: Final = text("SET LOCAL plan_cache_mode = auto")

_LOCK: Final = text("""
SELECT pg_advisory_xact_lock(:space, key)
FROM (
    SELECT DISTINCT hashtext(id) AS key
    FROM unnest(CAST(:ids AS text[])) AS ids (id)
    ORDER BY key
    OFFSET 0
) AS keys
""")

_WAIT_AT_MOST: Final = text("SELECT set_config('lock_timeout', :milliseconds, true)")

# In the order of ids, and for each in the order of spaces; bool_and does not short-circuit. The
# setting of the transaction is here because a statement of its own costs a round trip.
_TRY_LOCK: Final = text("""
SELECT id, set_config('plan_cache_mode', :mode, true)
FROM unnest(CAST(:ids AS text[])) AS ids (id)
WHERE (
    SELECT bool_and(pg_try_advisory_xact_lock(space, hashtext(id)))
    FROM unnest(CAST(:spaces AS integer[])) AS spaces (space)
)
""")


def lock(connection: Connection, space: LockSpace, ids: Collection[str]) -> None:
    """Acquire the locks of ``ids`` in ``space``, waiting for their holders."""
    connection.execute(_LOCK, {"space": int(space), "ids": list(ids)})


def wait_at_most(connection: Connection, seconds: float) -> None:
    """Let each statement of this transaction wait at most so long for locks, then fail."""
    connection.execute(_WAIT_AT_MOST, {"milliseconds": f"{round(1000 * seconds)}ms"})


def wait_for_writers(connection: Connection, table: str) -> None:
    """Wait until the writers of a table have ended; later ones wait until the transaction ends."""
    connection.execute(text(f"LOCK TABLE {table} IN SHARE MODE"))


def try_lock(
    connection: Connection,
    spaces: Sequence[LockSpace],
    ids: Collection[str],
    *,
    plans_once: bool = False,
) -> list[str]:
    """Acquire the locks of ids in all of ``spaces`` without waiting; those that have all.

    With ``plans_once``, the session keeps its plans of the statements that follow in the
    transaction, which must suit any values, until `plan_as_usual`.
    """
    values = {
        "spaces": [int(space) for space in spaces],
        "ids": sorted(set(ids)),
        "mode": "force_generic_plan" if plans_once else "auto",
    }
    return list(connection.scalars(_TRY_LOCK, values))


def plan_as_usual(connection: Connection) -> None:
    """Let PostgreSQL decide again which further statements of the transaction it plans once."""
    connection.execute(_PLAN_AS_USUAL)


@contextmanager
def alone(engine: Engine, key: int) -> Iterator[None]:
    """Hold one lock of the database, in a transaction of its own, for as long as the block lasts.

    Waiters poll, because an index that is built concurrently waits for every transaction that
    has a snapshot. The holder's has none, so such a build does not wait for it either.
    """
    attempt = text(f"SELECT pg_try_advisory_xact_lock({key})")
    with engine.connect() as connection:
        while not connection.scalar(attempt):
            connection.rollback()
            time.sleep(_POLL_SECONDS)
        # Its being the last statement also ends the portal of the one before, and its snapshot.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield

"""Waits for locks that other sessions hold, as the server sees them."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

# A wait counts only with a session that blocks it. Each has its transaction's start, so that the
# same wait is recognized in several samples.
_WAITS: Final = text("""
SELECT a.pid, a.application_name AS application, a.wait_event AS lock, a.query,
    extract(epoch FROM clock_timestamp() - a.query_start) AS running,
    coalesce(CAST(extract(epoch FROM a.query_start) * 1000000 AS bigint), 0) AS statement,
    holders.applications AS held_by, holders.queries AS held_for
FROM pg_stat_activity AS a
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT h.application_name) AS applications,
        array_agg(DISTINCT left(h.query, 200)) AS queries
    FROM unnest(pg_blocking_pids(a.pid)) AS b (pid)
    JOIN pg_stat_activity AS h ON h.pid = b.pid
) AS holders
WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND a.state = 'active'
    AND holders.applications IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class LockWait:
    """A statement that waits for a lock.

    Attributes:
        pid: its session.
        application: the session's application_name.
        lock: the kind of lock, for example ``transactionid`` or ``relation``.
        query: the statement.
        running: seconds since the statement began.
        statement: when that was, in microseconds of the epoch; with ``pid`` its identity.
        held_by: the application_name of each session that blocks it.
        held_for: the statements of those sessions.
    """

    pid: int
    application: str
    lock: str
    query: str
    running: float
    statement: int
    held_by: tuple[str, ...]
    held_for: tuple[str, ...]


def lock_waits(connection: Connection) -> list[LockWait]:
    """The statements of this database that wait now."""
    return [
        LockWait(
            row.pid,
            row.application,
            row.lock,
            row.query,
            float(row.running),
            row.statement,
            tuple(row.held_by),
            tuple(row.held_for),
        )
        for row in connection.execute(_WAITS)
    ]

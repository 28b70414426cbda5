"""What waits in the stored state, for monitoring: one statement over every outbox and job.

Not here: what single displays or terms wait for; see the module of each table.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from sorafeed_assets.storage.counts.jobs import GIVEN_UP, MAX_ATTEMPTS
from sorafeed_assets.storage.lineage_records import REACT_LEASE

LATELY: Final = timedelta(days=1)
"""For how long a rollout that was rolled back is counted."""
MOST_ROWS: Final = 100_000
"""Rows beyond this are not counted, so that a large backlog does not slow monitoring down."""

# By primary key, so that the bound holds; ids and times are assigned in nearly the same order.
_WAITING: Final = f"""
WITH waiting (name, entries, since) AS (
    SELECT 'catalog_changes', count(*), min(changed_at)
    FROM (SELECT changed_at FROM catalog_changes ORDER BY id LIMIT :most) AS c
    UNION ALL
    SELECT 'display_changes', count(*), min(changed_at)
    FROM (SELECT changed_at FROM display_changes ORDER BY id LIMIT :most) AS d
    UNION ALL
    SELECT 'lineage_records', count(*), min(created_at)
    FROM (SELECT created_at FROM lineage_records WHERE recorded_at IS NULL
          ORDER BY asset, id LIMIT :most) AS l
    UNION ALL
    SELECT 'search_terms', count(*), min(created_at) FROM search_terms WHERE counted_at IS NULL
    UNION ALL
    SELECT 'count_jobs', count(*), min(j.created_at) FROM count_jobs AS j WHERE NOT {GIVEN_UP}
)
SELECT name, entries,
    CAST(coalesce(greatest(extract(epoch FROM clock_timestamp() - since), 0), 0)
        AS double precision) AS seconds,
    (SELECT count(*) FROM count_jobs AS j WHERE {GIVEN_UP}) AS given_up,
    (SELECT count(*) FROM displays WHERE plan_problem IS NOT NULL) AS plan_problems,
    EXISTS (SELECT FROM leases
            WHERE leases.name = :lease AND expires_at > clock_timestamp()) AS react_leads,
    (SELECT count(*) FROM rollouts
     WHERE status = 'rolled_back' AND since > now() - CAST(:lately AS interval)) AS rolled_back,
    (SELECT CAST(coalesce(max(extract(epoch FROM
            clock_timestamp() - greatest(evaluated_at, since))), 0) AS double precision)
     FROM rollouts WHERE status IN ('running', 'paused')) AS rollout_seconds,
    (SELECT CAST(extract(epoch FROM clock_timestamp() - max(made_at)) AS double precision)
     FROM backups) AS backup_seconds,
    (SELECT CAST(extract(epoch FROM clock_timestamp() - looked_at) AS double precision)
     FROM legacy_cursors WHERE legacy_cursors.name = 'posts') AS legacy_seconds,
    (SELECT CAST(extract(epoch FROM clock_timestamp() - max(looked_at)) AS double precision)
     FROM legacy_queues) AS legacy_queues_seconds
FROM waiting
"""


class Waiting(NamedTuple):
    """How many rows of a table wait, at most `MOST_ROWS`, and the age of the oldest in seconds."""

    rows: int
    seconds: float


class StoredFigures(NamedTuple):
    """The state of the stored work.

    Attributes:
        waiting: table → what waits in it.
        given_up: count jobs whose attempts have all failed.
        plan_problems: displays whose playlist could not be planned.
        react_leads: whether a `react` holds the lease.
        rolled_back: rollouts that were rolled back within `LATELY`.
        rollout_seconds: for how long a rollout that may be rolled back was not evaluated; 0 if
            there is none.
        backup_seconds: the age of the newest backup; None if none was ever made.
        legacy_seconds: for how long an old system's catalogue was not read to its end; None before
            its first copy is complete.
        legacy_queues_seconds: for how long its queues were not read; None before a first import.
    """

    waiting: dict[str, Waiting]
    given_up: int
    plan_problems: int
    react_leads: bool
    rolled_back: int
    rollout_seconds: float
    backup_seconds: float | None
    legacy_seconds: float | None
    legacy_queues_seconds: float | None


def read_figures(connection: Connection) -> StoredFigures:
    """Read all figures at one moment."""
    values = {"most": MOST_ROWS, "max": MAX_ATTEMPTS, "lease": REACT_LEASE, "lately": LATELY}
    rows = connection.execute(text(_WAITING), values).all()
    waiting = {row.name: Waiting(row.entries, row.seconds) for row in rows}
    first = rows[0]
    return StoredFigures(
        waiting,
        first.given_up,
        first.plan_problems,
        first.react_leads,
        first.rolled_back,
        max(first.rollout_seconds, 0.0),
        first.backup_seconds,
        first.legacy_seconds,
        first.legacy_queues_seconds,
    )

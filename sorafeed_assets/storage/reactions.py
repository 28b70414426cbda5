"""`reactions`: how soon a change of a display is queued, sent to players, and on screen.

The process that settles a display writes a row; API processes add when the event
was sent to a connected page or player, and when the player started the next video. Rows are kept
for an hour.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

KEPT: Final = timedelta(hours=1)

# Not durable: figures may be lost, and no edit should wait for the disk.
_NOT_DURABLE: Final = text("SELECT set_config('synchronous_commit', 'off', true)")
_ADD: Final = text("""
INSERT INTO reactions (display_id, changed_at, queued_at)
SELECT * FROM unnest(CAST(:displays AS text[]), CAST(:changed AS timestamptz[]),
    CAST(:queued AS timestamptz[]))
""")

# Each reaction is observed by one process, so histograms of all processes add up.
_OBSERVE_QUEUED: Final = text("""
UPDATE reactions SET is_observed = true
WHERE id IN (SELECT id FROM reactions WHERE NOT is_observed FOR UPDATE SKIP LOCKED)
RETURNING CAST(extract(epoch FROM queued_at - changed_at) AS double precision)
""")


def _observe(column: str) -> str:
    """The statement that sets ``column`` to the first noted time since the change was queued."""
    return f"""
WITH noted AS (
    SELECT r.id, min(n.at) AS at
    FROM reactions r
    JOIN unnest(CAST(:displays AS text[]), CAST(:moments AS timestamptz[])) AS n (display_id, at)
        ON n.display_id = r.display_id AND n.at >= r.queued_at
    WHERE r.{column} IS NULL GROUP BY r.id
)
UPDATE reactions r SET {column} = noted.at FROM noted
WHERE r.id = noted.id AND r.{column} IS NULL
RETURNING CAST(extract(epoch FROM noted.at - r.changed_at) AS double precision)
"""


_OBSERVE_SENT: Final = text(_observe("sent_at"))
_OBSERVE_STARTED: Final = text(_observe("started_at"))
_DROP: Final = text("DELETE FROM reactions WHERE queued_at < now() - CAST(:kept AS interval)")
_PERCENTILES: Final = text("""
SELECT
    percentile_cont(CAST(:shares AS double precision[])) WITHIN GROUP
        (ORDER BY extract(epoch FROM queued_at - changed_at)) AS queue,
    percentile_cont(CAST(:shares AS double precision[])) WITHIN GROUP
        (ORDER BY extract(epoch FROM sent_at - changed_at)) AS event,
    percentile_cont(CAST(:shares AS double precision[])) WITHIN GROUP
        (ORDER BY extract(epoch FROM started_at - changed_at)) AS started
FROM reactions WHERE queued_at > now() - CAST(:kept AS interval)
""")


@dataclass(frozen=True, slots=True)
class Reaction:
    """A change of a display: when it was written, and when its queue had it."""

    display_id: str
    changed_at: datetime
    queued_at: datetime


def add_reactions(connection: Connection, reactions: Sequence[Reaction]) -> None:
    """Store reactions of displays whose queue or plan changed, in a transaction of their own."""
    connection.execute(_NOT_DURABLE)
    connection.execute(
        _ADD,
        {
            "displays": [reaction.display_id for reaction in reactions],
            "changed": [reaction.changed_at for reaction in reactions],
            "queued": [reaction.queued_at for reaction in reactions],
        },
    )


def observe_queued(connection: Connection) -> list[float]:
    """Seconds from change to queue of the reactions that no process has observed yet."""
    return list(connection.scalars(_OBSERVE_QUEUED))


def observe_sent(connection: Connection, moments: Collection[tuple[str, datetime]]) -> list[float]:
    """Store when events of displays were sent; returns seconds from each change to its event."""
    return list(connection.scalars(_OBSERVE_SENT, _noted(moments)))


def observe_started(
    connection: Connection, moments: Collection[tuple[str, datetime]]
) -> list[float]:
    """Store when displays started a video; returns seconds from each change to its start."""
    return list(connection.scalars(_OBSERVE_STARTED, _noted(moments)))


def drop_old(connection: Connection) -> int:
    """Delete expired reactions; returns how many."""
    return connection.execute(_DROP, {"kept": KEPT}).rowcount


def drop_all(connection: Connection) -> None:
    """Delete all reactions."""
    connection.execute(_DROP, {"kept": timedelta()})


def percentiles(
    connection: Connection, shares: Sequence[float]
) -> Mapping[str, Sequence[float] | None]:
    """Stage (queue, event, started) → these percentiles of its seconds, or None."""
    row = connection.execute(_PERCENTILES, {"shares": list(shares), "kept": KEPT}).one()
    return {"queue": row.queue, "event": row.event, "started": row.started}


def _noted(moments: Collection[tuple[str, datetime]]) -> dict[str, list[object]]:
    return {
        "displays": [display for display, _ in moments],
        "moments": [moment for _, moment in moments],
    }

"""SQL of what happened by minute: plays, reactions, low queues and waiting lineage.

Plays and reactions are read from their own tables. What nothing else keeps is sampled into
`figures` once a minute.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

KEPT: Final = timedelta(days=1)
"""How long samples are kept."""

_STORE: Final = text("""
INSERT INTO figures (minute, low_queues, lineage_waiting)
VALUES (date_trunc('minute', now()), :low, :waiting)
ON CONFLICT (minute) DO NOTHING
""")
_DROP: Final = text("DELETE FROM figures WHERE minute < now() - CAST(:kept AS interval)")

_MINUTES: Final = """
minutes AS (
    SELECT generate_series(date_trunc('minute', now()) - make_interval(mins => :minutes),
        date_trunc('minute', now()) - interval '1 minute', interval '1 minute') AS minute
)
"""

# By display, because plays have no index by time alone; OFFSET keeps it so.
_PLAYS: Final = f"""
WITH {_MINUTES}, played AS (
    SELECT date_trunc('minute', h.played_at) AS minute, count(*) AS plays
    FROM displays AS d
    CROSS JOIN LATERAL (
        SELECT played_at FROM video_history
        WHERE display_id = d.id AND played_at >= (SELECT min(minute) FROM minutes)
        OFFSET 0
    ) AS h
    GROUP BY 1
), reacted AS (
    SELECT date_trunc('minute', started_at) AS minute,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - changed_at))
            AS half,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - changed_at))
            AS most
    FROM reactions WHERE started_at >= (SELECT min(minute) FROM minutes)
    GROUP BY 1
)
SELECT m.minute, coalesce(p.plays, 0) AS plays, r.half, r.most, f.low_queues, f.lineage_waiting
FROM minutes AS m
LEFT JOIN played AS p USING (minute)
LEFT JOIN reacted AS r USING (minute)
LEFT JOIN figures AS f USING (minute)
ORDER BY m.minute
"""


class MinuteFigures(NamedTuple):
    """A minute: its plays, seconds from a change to the screen, and what was sampled in it.

    None where nothing was started, or sampled.
    """

    minute: datetime
    plays: int
    on_screen_half: float | None
    on_screen_most: float | None
    low_queues: int | None
    lineage_waiting: int | None


def read_minutes(connection: Connection, minutes: int) -> Sequence[MinuteFigures]:
    """The last whole minutes, the oldest first."""
    rows = connection.execute(text(_PLAYS), {"minutes": minutes})
    return [MinuteFigures(*row) for row in rows]


def store_sample(connection: Connection, *, low_queues: int, lineage_waiting: int) -> None:
    """Store this minute's sample, and delete old ones."""
    connection.execute(_STORE, {"low": low_queues, "waiting": lineage_waiting})
    connection.execute(_DROP, {"kept": KEPT})

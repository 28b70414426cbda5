"""SQL of plays by hour: how many there were, how many were skipped, how many were repeats.

A wall plays millions of videos a day, so that no page can count them. The leading `react` counts
an hour again until it is two days old, because a player may report its plays later.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

RECOUNTED_HOURS: Final = 48
"""How many hours back from the current one are counted again."""

# By display, because plays have no index by time alone; OFFSET keeps it so. Plays are never
# deleted, but those of a deleted display are not found again.
_COUNT: Final = text("""
INSERT INTO play_hours AS o (hour, plays, skips, repeats)
SELECT CAST(:hour AS timestamptz), count(*), count(*) FILTER (WHERE h.was_skipped),
    count(*) FILTER (WHERE EXISTS (
        SELECT FROM video_history AS e
        WHERE e.display_id = h.display_id AND e.video_id = h.video_id
            AND e.played_at < h.played_at))
FROM displays AS d
CROSS JOIN LATERAL (
    SELECT display_id, video_id, played_at, was_skipped FROM video_history
    WHERE display_id = d.id AND played_at >= :hour
        AND played_at < CAST(:hour AS timestamptz) + interval '1 hour'
    OFFSET 0
) AS h
ON CONFLICT (hour) DO UPDATE SET plays = excluded.plays, skips = excluded.skips,
    repeats = excluded.repeats
WHERE excluded.plays >= o.plays
""")

_DAYS: Final = text("""
SELECT d.day, p.plays, p.skips, p.repeats
FROM (SELECT CAST(generate_series(CAST(:last AS date) - CAST(:days AS integer) + 1,
          CAST(:last AS date), interval '1 day') AS date) AS day) AS d
LEFT JOIN (
    SELECT CAST(hour AT TIME ZONE 'UTC' AS date) AS day, CAST(sum(plays) AS bigint) AS plays,
        CAST(sum(skips) AS bigint) AS skips, CAST(sum(repeats) AS bigint) AS repeats
    FROM play_hours
    WHERE hour >= CAST(CAST(:last AS date) - CAST(:days AS integer) + 1 AS timestamp)
        AT TIME ZONE 'UTC'
    GROUP BY 1
) AS p USING (day)
ORDER BY d.day
""")


class PlayDay(NamedTuple):
    """The plays of a UTC day; None for a day of which no hour was counted.

    Attributes:
        repeats: plays of a video that the display had played before.
    """

    day: date
    plays: int | None
    skips: int | None
    repeats: int | None


def count_hour(connection: Connection, hour: datetime) -> None:
    """Count the plays of the hour that begins at ``hour``, and store them."""
    connection.execute(_COUNT, {"hour": hour})


def read_days(connection: Connection, last: date, days: int) -> Sequence[PlayDay]:
    """The plays of ``days`` days up to ``last``, the oldest first."""
    rows = connection.execute(_DAYS, {"last": last, "days": days})
    return [PlayDay(*row) for row in rows]

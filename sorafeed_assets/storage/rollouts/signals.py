"""SQL of the signals: what went wrong on each display since a moment."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.rollouts.signals import Signal

REPEAT_WITHIN: Final = 100
"""A play is a repeat when its video was among the display's last plays, as many as this."""
SLOW: Final = timedelta(seconds=2)
"""A changed display whose queue takes longer was slow: the objective of timelines."""

LATE: Final = timedelta(seconds=30)
"""A change after which no video was started for so long was late: videos last 25 s at most."""

_SETTLING: Final = timedelta(minutes=1)

Counts = dict[str, tuple[int, int]]
"""Display → how many went wrong, and of how many."""

# The plays before the first one are numbered too, so that its repeats are known.
_PLAYS: Final = text("""
WITH numbered AS (
    SELECT d.id AS display_id, p.*,
        row_number() OVER (PARTITION BY d.id ORDER BY p.played_at, p.timeline_video_id) AS number
    FROM unnest(CAST(:displays AS text[])) AS d (id)
    CROSS JOIN LATERAL (
        SELECT video_id, played_at, timeline_video_id, was_skipped, false AS is_old
        FROM video_history
        WHERE display_id = d.id AND played_at >= :since AND played_at < :until
        UNION ALL
        (SELECT video_id, played_at, timeline_video_id, was_skipped, true
         FROM video_history
         WHERE display_id = d.id AND played_at < :since
         ORDER BY played_at DESC LIMIT :within)
    ) AS p
), followed AS (
    SELECT *, lag(number) OVER (PARTITION BY display_id, video_id ORDER BY number) AS before
    FROM numbered
)
SELECT f.display_id, count(*) AS plays,
    count(*) FILTER (WHERE f.was_skipped AND x.timeline_video_id IS NULL) AS skipped,
    count(x.timeline_video_id) AS failed,
    count(*) FILTER (WHERE f.number - f.before <= :within) AS repeats
FROM followed AS f
LEFT JOIN play_failures AS x ON x.timeline_video_id = f.timeline_video_id
WHERE NOT f.is_old
GROUP BY f.display_id
""")

_PLANS: Final = text("""
SELECT d.id AS display_id, CAST(d.plan_problem IS NOT NULL AS integer) AS problems,
    coalesce(jsonb_array_length(b.dry_blocks), 0) AS dry,
    CASE WHEN b.id IS NULL THEN 0
        ELSE (SELECT count(*) FROM playlist_blocks WHERE playlist_id = p.id) END AS blocks
FROM displays AS d
JOIN playlists AS p ON p.display_id = d.id AND p.is_active
LEFT JOIN timeline_builds AS b ON b.id = d.active_build_id
WHERE d.id = ANY(CAST(:displays AS text[]))
""")

# A step settles all displays that come in at once: that says nothing about their value.
_REACTIONS: Final = text("""
SELECT display_id, count(*) AS changes,
    count(*) FILTER (WHERE queued_at - changed_at > CAST(:slow AS interval)) AS slow
FROM reactions
WHERE queued_at < :until AND changed_at >= CAST(:since AS timestamptz) + CAST(:settling AS interval)
  AND display_id = ANY(CAST(:displays AS text[]))
GROUP BY display_id
""")

# Only players that tell when they start a video are counted; one that stopped telling is late.
_SCREENS: Final = text("""
SELECT r.display_id, count(*) AS changes,
    count(*) FILTER (
        WHERE r.started_at IS NULL OR r.started_at - r.changed_at > CAST(:late AS interval)
    ) AS late
FROM reactions AS r
WHERE r.changed_at >= CAST(:since AS timestamptz) + CAST(:settling AS interval)
  AND r.changed_at < CAST(:until AS timestamptz) - CAST(:late AS interval)
  AND r.display_id = ANY(CAST(:displays AS text[]))
  AND EXISTS (
    SELECT FROM reactions AS s WHERE s.display_id = r.display_id AND s.started_at IS NOT NULL)
GROUP BY r.display_id
""")

# The minute in which a step begins belongs to the step before.
_REQUESTS: Final = text("""
SELECT display_id, CAST(sum(requests) AS bigint) AS requests, CAST(sum(errors) AS bigint) AS errors
FROM display_requests
WHERE minute >= :since AND minute < :until AND display_id = ANY(CAST(:displays AS text[]))
GROUP BY display_id
""")


def read_signals(
    connection: Connection,
    signals: Collection[Signal],
    display_ids: Collection[str],
    since: datetime,
    until: datetime,
) -> Mapping[Signal, Counts]:
    """Each signal of displays from ``since`` to before ``until``; silent displays are missing.

    Plans are those of now, because only those are kept.
    """
    values = {
        "displays": sorted(display_ids),
        "since": since,
        "until": until,
        "within": REPEAT_WITHIN,
        "slow": SLOW,
        "late": LATE,
        "settling": _SETTLING,
    }
    found: dict[Signal, Counts] = {}
    for read, given in _READERS.items():
        if signals & given.keys():
            rows = connection.execute(read, values).all()
            found |= {
                signal: {row.display_id: count(row) for row in rows}
                for signal, count in given.items()
                if signal in signals
            }
    return found


_Count = Callable[[Any], tuple[int, int]]

_READERS: Final[Mapping[Any, Mapping[Signal, _Count]]] = {
    _PLAYS: {
        Signal.SKIPPED: lambda row: (row.skipped, row.plays),
        Signal.FAILED: lambda row: (row.failed, row.plays),
        Signal.REPEATS: lambda row: (row.repeats, row.plays),
    },
    _PLANS: {
        Signal.DRY_BLOCKS: lambda row: (min(row.dry, row.blocks), row.blocks),
        Signal.PLAN_PROBLEMS: lambda row: (row.problems, 1),
    },
    _REACTIONS: {Signal.SLOW: lambda row: (row.slow, row.changes)},
    _SCREENS: {Signal.LATE_ON_SCREEN: lambda row: (row.late, row.changes)},
    _REQUESTS: {Signal.API_ERRORS: lambda row: (row.errors, row.requests)},
}

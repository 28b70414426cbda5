"""`play_failures` and `display_requests`: what players could not show, and did not get."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

_FAILURES_KEPT: Final = timedelta(days=30)
_REQUESTS_KEPT: Final = timedelta(days=1)

_ADD_FAILURES: Final = text("""
INSERT INTO play_failures (timeline_video_id, display_id)
SELECT * FROM unnest(CAST(:entries AS uuid[]), CAST(:displays AS text[]))
ON CONFLICT (timeline_video_id) DO NOTHING
""")
# In the order of displays, so that two processes never wait for each other in a circle.
_ADD_REQUESTS: Final = text("""
INSERT INTO display_requests AS r (display_id, minute, requests, errors)
SELECT n.display_id, date_trunc('minute', now()), n.requests, n.errors
FROM unnest(CAST(:displays AS text[]), CAST(:requests AS bigint[]), CAST(:errors AS bigint[]))
    AS n (display_id, requests, errors)
ORDER BY n.display_id
ON CONFLICT (display_id, minute) DO UPDATE
SET requests = r.requests + excluded.requests, errors = r.errors + excluded.errors
""")
_DROP_FAILURES: Final = text(
    "DELETE FROM play_failures WHERE failed_at < now() - CAST(:kept AS interval)"
)
_DROP_REQUESTS: Final = text(
    "DELETE FROM display_requests WHERE minute < now() - CAST(:kept AS interval)"
)

_RECENT: Final = text("""
SELECT display_id, count(*) AS failures FROM play_failures
WHERE failed_at > now() - CAST(:within AS interval)
  AND (CAST(:displays AS text[]) IS NULL OR display_id = ANY(CAST(:displays AS text[])))
GROUP BY display_id
""")


def recent_failures(
    connection: Connection, display_ids: Collection[str] | None, within: timedelta
) -> dict[str, int]:
    """How many videos players could not show lately, by display; of some displays, or all."""
    displays = None if display_ids is None else list(display_ids)
    rows = connection.execute(_RECENT, {"displays": displays, "within": within})
    return {row.display_id: row.failures for row in rows}


def add_failures(connection: Connection, failures: Collection[tuple[UUID, str]]) -> None:
    """Store that players could not show these queue entries of displays; once each."""
    values = {"entries": [e for e, _ in failures], "displays": [d for _, d in failures]}
    connection.execute(_ADD_FAILURES, values)


def add_requests(connection: Connection, requests: Mapping[str, tuple[int, int]]) -> None:
    """Add requests of displays' players to this minute's: how many, and how many failed."""
    values = {
        "displays": list(requests),
        "requests": [number for number, _ in requests.values()],
        "errors": [errors for _, errors in requests.values()],
    }
    connection.execute(_ADD_REQUESTS, values)


def drop_old_of_players(connection: Connection) -> None:
    """Delete failures after a month, and requests after a day."""
    connection.execute(_DROP_FAILURES, {"kept": _FAILURES_KEPT})
    connection.execute(_DROP_REQUESTS, {"kept": _REQUESTS_KEPT})

"""SQL of the previews of assets in the Dagster UI."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, text

from sorafeed_assets.storage.frames import FRAMES
from sorafeed_assets.storage.rollouts.rows import load_rollouts


@dataclass(frozen=True, slots=True)
class Preview:
    """Some rows, all values as text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


_BY_DISPLAY: Final = {
    "active_playlists": """
SELECT p.display_id, p.name AS playlist, b.search_term, b.video_count, b.fetch_mode, b.format
FROM playlists p JOIN playlist_blocks b ON b.playlist_id = p.id
WHERE p.is_active AND p.display_id = ANY(:displays)
ORDER BY p.display_id, b.block_order
""",
    "display_timelines": """
SELECT v.display_id, v.loop_iteration AS loop, v.timeline_position AS position, v.status,
       planned.reason, b.search_term, left(p.text, 60) AS text, v.video_id
FROM displays d
JOIN timeline_videos v ON v.display_id = d.id
LEFT JOIN playlist_blocks b ON b.id = v.block_id
LEFT JOIN sora_posts p ON p.id = v.video_id
LEFT JOIN LATERAL (
    SELECT l.loop -> 'picks' -> v.timeline_position ->> 'tier' AS reason
    FROM timeline_builds t CROSS JOIN LATERAL jsonb_array_elements(t.plan -> 'loops') AS l (loop)
    WHERE t.id = d.active_build_id AND CAST(l.loop ->> 'loop' AS integer) = v.loop_iteration
) AS planned ON true
WHERE d.id = ANY(:displays)
ORDER BY v.display_id, v.loop_iteration, v.timeline_position
""",
}


_BY_DAY: Final = text("""
SELECT d.day, c.term, c.format, c.count
FROM unnest(CAST(:days AS date[])) AS d (day)
CROSS JOIN LATERAL (
    SELECT term, format, count FROM video_counts_daily
    WHERE catalog_day = d.day ORDER BY count DESC, term, format LIMIT :rows
) AS c
ORDER BY d.day, c.count DESC, c.term, c.format
""")

_LARGEST: Final = text("""
SELECT search_term, total_count FROM video_counts_by_search
WHERE format = 'mixed' ORDER BY total_count DESC, search_term LIMIT :rows
""")


def preview_table(engine: Engine, asset: str, rows: int) -> Preview:
    """The first rows of a table asset."""
    statement = text(f"SELECT * FROM ({FRAMES[asset].whole}) AS whole LIMIT :rows")
    with engine.connect() as connection:
        result = connection.execute(statement, {"rows": rows})
        return Preview(list(result.keys()), [[_text(value) for value in row] for row in result])


def preview_displays(
    engine: Engine, asset: str, displays: Collection[str]
) -> Mapping[str, Preview]:
    """A few rows of each display's partition; a display without any is missing."""
    with engine.connect() as connection:
        result = connection.execute(text(_BY_DISPLAY[asset]), {"displays": sorted(displays)})
        columns = list(result.keys())[1:]
        rows: dict[str, list[list[str]]] = defaultdict(list)
        for display, *values in result:
            rows[display].append([_text(value) for value in values])
    return {display: Preview(columns, of_display) for display, of_display in rows.items()}


def preview_days(engine: Engine, days: Collection[str], rows: int) -> Mapping[str, Preview]:
    """Catalog day → the terms that most of its posts match; a day without any is missing."""
    with engine.connect() as connection:
        result = connection.execute(_BY_DAY, {"days": list(days), "rows": rows})
        found: dict[str, list[list[str]]] = defaultdict(list)
        for day, *values in result:
            found[day.isoformat()].append([_text(value) for value in values])
    return {day: Preview(("term", "format", "count"), of_day) for day, of_day in found.items()}


def preview_rollouts(engine: Engine, names: Collection[str]) -> Mapping[str, Preview]:
    """Rollout → the signals of its last evaluation; one that was not evaluated is missing."""
    found: dict[str, Preview] = {}
    with engine.connect() as connection:
        for name in names:
            for stored in load_rollouts(connection, name):
                rows = [[c.signal, c.verdict, c.why] for c in stored.comparisons]
                found[name] = Preview(("signal", "verdict", "why"), rows)
    return found


def largest_totals(engine: Engine, rows: int) -> Preview:
    """The terms that most posts match."""
    with engine.connect() as connection:
        result = connection.execute(_LARGEST, {"rows": rows})
        return Preview(
            ("search_term", "total_count"),
            [[row.search_term, f"{row.total_count:,}"] for row in result],
        )


def _text(value: object) -> str:
    return "" if value is None else str(value)

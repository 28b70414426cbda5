"""SQL of the few rows of each asset that the Dagster UI previews."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, text

from sorafeed_assets.storage.frames import FRAMES


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
       b.search_term, v.video_id, left(p.text, 60) AS text
FROM timeline_videos v
LEFT JOIN playlist_blocks b ON b.id = v.block_id
LEFT JOIN sora_posts p ON p.id = v.video_id
WHERE v.display_id = ANY(:displays)
ORDER BY v.display_id, v.loop_iteration, v.timeline_position
""",
}


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


def _text(value: object) -> str:
    return "" if value is None else str(value)

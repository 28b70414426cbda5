"""SQL of table assets as pandas DataFrames, for ``load_asset_value`` in a notebook.

Not here: what is in Redis (`storage.cache.frames`) and in the old catalogue
(`storage.legacy.frames`).

pandas is imported when a frame is read, because the asset graph only needs the names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine, text

if TYPE_CHECKING:
    import pandas as pd

_DAY: Final = "indexed_at >= CAST(:day AS date) AT TIME ZONE 'UTC'"
_NEXT_DAY: Final = "indexed_at < (CAST(:day AS date) + 1) AT TIME ZONE 'UTC'"


@dataclass(frozen=True, slots=True)
class Frame:
    """How one asset is read: the whole table, and one partition of it."""

    whole: str
    partition: str | None = None
    parameter: str = "partition"


FRAMES: Final = {
    "sora_posts": Frame(
        "SELECT * FROM sora_posts ORDER BY indexed_at, id",
        f"SELECT * FROM sora_posts WHERE {_DAY} AND {_NEXT_DAY} ORDER BY indexed_at, id",
        "day",
    ),
    "search_terms": Frame("SELECT * FROM search_terms ORDER BY term"),
    "video_counts_daily": Frame(
        "SELECT * FROM video_counts_daily ORDER BY catalog_day, term, format",
        "SELECT * FROM video_counts_daily WHERE catalog_day = :day ORDER BY term, format",
        "day",
    ),
    "video_counts_by_search": Frame(
        "SELECT * FROM video_counts_by_search ORDER BY search_term, format"
    ),
    "video_candidates": Frame(
        "SELECT * FROM video_candidates ORDER BY term, size_class, pool, posted_at DESC, post_id"
    ),
    "playlists": Frame(
        "SELECT p.name, p.display_id, p.is_active, b.* FROM playlists p"
        " JOIN playlist_blocks b ON b.playlist_id = p.id"
        " ORDER BY p.display_id, p.created_at, b.block_order",
        "SELECT p.name, p.display_id, p.is_active, b.* FROM playlists p"
        " JOIN playlist_blocks b ON b.playlist_id = p.id WHERE p.display_id = :partition"
        " ORDER BY p.created_at, b.block_order",
    ),
    "active_playlists": Frame(
        "SELECT * FROM playlists WHERE is_active ORDER BY display_id",
        "SELECT * FROM playlists WHERE is_active AND display_id = :partition",
    ),
    "display_timelines": Frame(
        "SELECT * FROM timeline_videos ORDER BY display_id, loop_iteration, timeline_position",
        "SELECT * FROM timeline_videos WHERE display_id = :partition"
        " ORDER BY loop_iteration, timeline_position",
    ),
    "rollouts": Frame(
        "SELECT * FROM rollouts ORDER BY created_at, name",
        "SELECT * FROM rollouts WHERE name = :partition",
    ),
    "shadow_counts": Frame(
        "SELECT * FROM shadow_comparisons WHERE kind = 'count' ORDER BY compared_at, id"
    ),
    "shadow_timelines": Frame(
        "SELECT * FROM shadow_comparisons WHERE kind <> 'count' ORDER BY compared_at, id"
    ),
}


def read_frame(
    engine: Engine, asset: str, partitions: Sequence[str] | None = None
) -> "pd.DataFrame":
    """The rows of a table asset, or those of some of its partitions.

    Raises:
        KeyError: the asset is not a table.
    """
    import pandas as pd

    frame = FRAMES[asset]
    if partitions is None or frame.partition is None:
        with engine.connect() as connection:
            return pd.read_sql_query(text(frame.whole), connection)
    if not partitions:
        return pd.DataFrame()
    parts = []
    with engine.connect() as connection:
        for partition in partitions:
            value = date.fromisoformat(partition) if frame.parameter == "day" else partition
            parts.append(
                pd.read_sql_query(
                    text(frame.partition), connection, params={frame.parameter: value}
                )
            )
    return pd.concat(parts, ignore_index=True) if len(parts) != 1 else parts[0]

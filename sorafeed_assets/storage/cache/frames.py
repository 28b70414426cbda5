"""The snapshots in Redis as pandas DataFrames, for ``load_asset_value`` in a notebook.

pandas is imported when a frame is made, because the asset graph only needs the names.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from redis import Redis

from sorafeed_assets.storage.cache.redis import (
    ADMIN_KEY,
    COUNT_KEYS,
    TIMELINE_KEYS,
    matching_keys,
    read_values,
    timeline_key,
)

if TYPE_CHECKING:
    import pandas as pd

_COUNT_COLUMNS: Final = ("search_term", "format", "total_count")
_VIDEO_COLUMNS: Final = (
    "display_id",
    "build",
    "loop_iteration",
    "timeline_position",
    "status",
    "video_id",
    "block_id",
    "id",
    "video",
)


def count_frame(redis: Redis, _partitions: Sequence[str] | None = None) -> "pd.DataFrame":
    """A row for each total: ``search_term``, ``format``, ``total_count``."""
    import pandas as pd

    prefix = COUNT_KEYS.removesuffix("*")
    rows = []
    for key, value in sorted(read_values(redis, sorted(matching_keys(redis, COUNT_KEYS))).items()):
        # A search may contain colons, a format does not.
        term, _, format_ = key.removeprefix(prefix).rpartition(":")
        rows.append((term, format_, int(value)))
    return pd.DataFrame(rows, columns=list(_COUNT_COLUMNS))


def timeline_frame(redis: Redis, displays: Sequence[str] | None = None) -> "pd.DataFrame":
    """A row for each video that the displays, or all of them, play next; in playing order.

    A display without a snapshot, or with nothing to play, has no row.
    """
    import pandas as pd

    if displays is None:
        keys = sorted(matching_keys(redis, TIMELINE_KEYS))
    else:
        keys = [timeline_key(display) for display in displays]
    prefix = TIMELINE_KEYS.removesuffix("*")
    rows: list[Mapping[str, Any]] = []
    for key, value in read_values(redis, keys).items():
        snapshot = json.loads(value)
        own = {"display_id": key.removeprefix(prefix), "build": snapshot["build"]}
        rows += [{**own, **video} for video in snapshot["videos"]]
    return pd.DataFrame(rows, columns=list(_VIDEO_COLUMNS))


def overview_frame(redis: Redis, _partitions: Sequence[str] | None = None) -> "pd.DataFrame":
    """A row for each display of the admin snapshot; its totals are in the frame's ``attrs``."""
    import pandas as pd

    value = read_values(redis, [ADMIN_KEY]).get(ADMIN_KEY)
    snapshot = json.loads(value) if value else {"displays": [], "totals": {}}
    frame = pd.DataFrame(snapshot["displays"])
    frame.attrs["totals"] = snapshot["totals"]
    return frame


FRAMES: Final[Mapping[str, Callable[[Redis, Sequence[str] | None], "pd.DataFrame"]]] = {
    "count_cache": count_frame,
    "timeline_cache": timeline_frame,
    "admin_snapshot": overview_frame,
}

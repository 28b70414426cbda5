"""The catalog days that have posts in the old catalogue, where most days between have none."""

from datetime import date
from typing import Final

from sorafeed_assets.storage.legacy.columns import IS_DATED
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog

# From one day to the next one by the index, so that no post is read twice.
_DAYS: Final = f"""
WITH RECURSIVE days AS (
    SELECT (SELECT CAST(min(p.indexed_at) AS date) FROM sora_posts AS p WHERE {IS_DATED}) AS day
    UNION ALL
    SELECT (SELECT CAST(min(p.indexed_at) AS date) FROM sora_posts AS p
            WHERE {IS_DATED} AND p.indexed_at >= d.day + 1)
    FROM days AS d WHERE d.day IS NOT NULL
)
SELECT day FROM days WHERE day IS NOT NULL ORDER BY day
"""


def days_with_posts(old: OldCatalog) -> list[date]:
    """The days that have posts, in order."""
    return [day for (day,) in old.read(_DAYS, {}) if isinstance(day, date)]

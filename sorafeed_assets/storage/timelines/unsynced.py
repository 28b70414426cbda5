"""Timelines that Dagster shows as "Unsynced", because they name earlier candidates.

Candidates have one version for all searches, so a change of one search's candidates makes all
timelines name an earlier version, also those whose plans it does not change.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

_UNSYNCED: Final = text("""
SELECT head.partition
FROM (
    SELECT DISTINCT ON (partition) partition, made_from FROM lineage_records
    WHERE asset = 'display_timelines' ORDER BY partition, id DESC
) AS head
JOIN displays d ON d.id = head.partition AND d.plan_problem IS NULL
CROSS JOIN (
    SELECT data_version, created_at FROM lineage_records
    WHERE asset = 'video_candidates' AND partition = '' ORDER BY id DESC LIMIT 1
) AS candidates
WHERE head.made_from ->> 'video_candidates' IS DISTINCT FROM candidates.data_version
  AND candidates.created_at < clock_timestamp() - :rest
  AND NOT EXISTS (SELECT FROM display_changes c WHERE c.display_id = d.id)
ORDER BY head.partition LIMIT :most
""")


def unsynced_displays(connection: Connection, rest: timedelta, most: int) -> list[str]:
    """Displays whose timelines name earlier candidates, at most ``most``.

    None while the candidates have changed within ``rest``.
    """
    return list(connection.scalars(_UNSYNCED, {"rest": rest, "most": most}))

"""SQL of the tags of displays."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

_ADD: Final = text("""
INSERT INTO display_tags (display_id, tag)
SELECT d.id, t.tag FROM displays d, unnest(CAST(:tags AS text[])) AS t (tag)
WHERE d.id = ANY(CAST(:ids AS text[])) ORDER BY d.id, t.tag
ON CONFLICT DO NOTHING
""")

_REMOVE: Final = text("""
DELETE FROM display_tags
WHERE display_id = ANY(CAST(:ids AS text[])) AND tag = ANY(CAST(:tags AS text[]))
""")

_CROWDED: Final = text("""
SELECT display_id FROM display_tags WHERE display_id = ANY(CAST(:ids AS text[]))
GROUP BY display_id HAVING count(*) > :most ORDER BY display_id
""")

_COUNTS: Final = text(
    "SELECT tag, count(*) AS displays FROM display_tags GROUP BY tag ORDER BY tag"
)


def add_tags(connection: Connection, display_ids: Collection[str], tags: Collection[str]) -> None:
    """Add tags to those of the displays that exist."""
    connection.execute(_ADD, {"ids": sorted(display_ids), "tags": list(tags)})


def remove_tags(
    connection: Connection, display_ids: Collection[str], tags: Collection[str]
) -> None:
    """Remove tags from displays."""
    connection.execute(_REMOVE, {"ids": sorted(display_ids), "tags": list(tags)})


def crowded(connection: Connection, display_ids: Collection[str], most: int) -> list[str]:
    """Those of the displays that have more than ``most`` tags."""
    return list(connection.scalars(_CROWDED, {"ids": sorted(display_ids), "most": most}))


def tag_counts(connection: Connection) -> dict[str, int]:
    """Every tag, in order, and how many displays have it."""
    return {row.tag: row.displays for row in connection.execute(_COUNTS)}

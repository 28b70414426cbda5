"""`display_changes`: the outbox of displays that have to be settled.

Triggers on displays, playlists and blocks write it, and whatever else changes what a display
plays; the transaction that settles a display removes what it has seen.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

CHANNEL: Final = "sorafeed_changes"
"""The NOTIFY channel of new changes, without payload."""

_NOTE: Final = text("""
INSERT INTO display_changes (display_id) SELECT unnest(CAST(:ids AS text[]))
""")
_NOTIFY: Final = text(f"NOTIFY {CHANNEL}")
_SEEN: Final = text("""
SELECT id FROM display_changes WHERE display_id = ANY(CAST(:ids AS text[]))
""")
_REMOVE: Final = text("DELETE FROM display_changes WHERE id = ANY(CAST(:ids AS bigint[]))")
_CHANGED: Final = text("""
SELECT display_id, min(changed_at) AS since FROM display_changes
GROUP BY display_id ORDER BY since LIMIT :most
""")
_OF_TERMS: Final = text("""
INSERT INTO display_changes (display_id)
SELECT DISTINCT display_id FROM display_terms WHERE term = ANY(CAST(:terms AS text[]))
""")
_SETTLING: Final = text("SELECT set_config('sorafeed.is_settling', 'on', true)")


def note_displays(connection: Connection, display_ids: Collection[str]) -> None:
    """Have displays settled."""
    connection.execute(_NOTE, {"ids": sorted(display_ids)})
    connection.execute(_NOTIFY)


def note_users_of(connection: Connection, terms: Collection[str]) -> int:
    """Have the displays settled whose playlists search for one of ``terms``; how many."""
    noted = connection.execute(_OF_TERMS, {"terms": sorted(terms)}).rowcount
    if noted:
        connection.execute(_NOTIFY)
    return noted


def begin_settling(connection: Connection, display_ids: Collection[str]) -> list[int]:
    """The ids of the changes that the rest of this transaction settles; its own are not noted."""
    connection.execute(_SETTLING)
    return list(connection.scalars(_SEEN, {"ids": list(display_ids)}))


def end_settling(connection: Connection, seen: Collection[int]) -> None:
    """Remove the changes that `begin_settling` found; later ones stay."""
    if seen:
        connection.execute(_REMOVE, {"ids": list(seen)})


def changed_displays(connection: Connection, most: int = 1_000_000) -> dict[str, datetime]:
    """The displays that wait to be settled, and since when, the longest first."""
    return {row.display_id: row.since for row in connection.execute(_CHANGED, {"most": most})}

"""`display_changes`: the outbox of displays that have to be settled.

Triggers on displays, playlists and blocks write it, and so does other code that changes what a
display plays; the transaction that settles a display removes the rows it has read. Edits and
deleted posts are urgent: they are settled before changes by new posts only.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.domain.errors import InvalidInputError

CHANNEL: Final = "sorafeed_changes"
"""The NOTIFY channel of new changes, without payload."""

_NOTE: Final = text("""
INSERT INTO display_changes (display_id) SELECT unnest(CAST(:ids AS text[]))
""")
_NOTIFY: Final = text(f"NOTIFY {CHANNEL}")
_SEEN: Final = text("""
SELECT id FROM display_changes WHERE display_id = ANY(CAST(:ids AS text[]))
""")
_REMOVE: Final = text("""
DELETE FROM display_changes WHERE id = ANY(CAST(:ids AS bigint[]))
RETURNING display_id, changed_at, clock_timestamp() AS settled_at
""")
_CHANGED: Final = text("""
SELECT display_id, min(changed_at) AS since FROM display_changes
GROUP BY display_id ORDER BY since
""")
# Urgent displays first, then those that have waited longest.
_NEXT: Final = text("""
SELECT display_id, bool_or(is_urgent) AS is_urgent FROM display_changes
GROUP BY display_id ORDER BY is_urgent DESC, min(changed_at) LIMIT :most
""")
# By the index on terms, so that the cost does not depend on displays that use none of them.
_BLOCKS_OF: Final = text("""
SELECT u.display_id, b.search_term, b.fetch_mode, b.format
FROM (
    SELECT DISTINCT display_id FROM display_terms WHERE term = ANY(CAST(:terms AS text[]))
) AS u
JOIN playlists p ON p.display_id = u.display_id AND p.is_active
JOIN playlist_blocks b ON b.playlist_id = p.id
""")
_NOTE_FOR_POSTS: Final = text("""
INSERT INTO display_changes (display_id, is_urgent, changed_at)
SELECT unnest(CAST(:ids AS text[])), :urgent, coalesce(:since, clock_timestamp())
""")
_HAS_PICK: Final = """
EXISTS (
    SELECT FROM jsonb_array_elements(b.plan -> 'loops') AS l (loop),
        jsonb_array_elements(l.loop -> 'picks') AS k (pick)
    WHERE CAST(l.loop ->> 'loop' AS integer) >= d.loop_iteration
      AND k.pick ->> 'video_id' = ANY(CAST(:posts AS text[])))
"""
_PLANS_WITH: Final = text(f"""
SELECT d.id
FROM (
    SELECT DISTINCT display_id FROM display_terms WHERE term = ANY(CAST(:terms AS text[]))
) AS u
JOIN displays d ON d.id = u.display_id
JOIN timeline_builds b ON b.id = d.active_build_id
WHERE {_HAS_PICK}
""")
_ALL_PLANS_WITH: Final = text(f"""
SELECT d.id FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id WHERE {_HAS_PICK}
""")
_SETTLING: Final = text("SELECT set_config('sorafeed.is_settling', 'on', true)")


def note_displays(connection: Connection, display_ids: Collection[str]) -> None:
    """Note that displays have to be settled."""
    connection.execute(_NOTE, {"ids": sorted(display_ids)})
    connection.execute(_NOTIFY)


def note_users_of(
    connection: Connection,
    pools: Collection[tuple[str, str, str]],
    since: datetime | None = None,
    but: Collection[str] = (),
) -> set[str]:
    """Note the displays that draw from one of these pools, except those in ``but``.

    A pool is (term, shape, fetch mode). Only active playlists count. ``since``
    is when the posts changed, by default now. Returns the displays that were noted.
    """
    users = _users_of(connection, frozenset(pools)) - set(but) if pools else set()
    _note_for_posts(connection, users, since, urgent=False)
    return users


def _note_for_posts(
    connection: Connection, display_ids: Collection[str], since: datetime | None, *, urgent: bool
) -> None:
    if display_ids:
        values = {"ids": sorted(display_ids), "urgent": urgent, "since": since}
        connection.execute(_NOTE_FOR_POSTS, values)
        connection.execute(_NOTIFY)


def _users_of(connection: Connection, pools: frozenset[tuple[str, str, str]]) -> set[str]:
    shapes_of: dict[tuple[str, str], set[str]] = {}
    for term, shape, mode in pools:
        shapes_of.setdefault((term, mode), set()).add(shape)
    terms = sorted({term for term, _, _ in pools})
    normalized: dict[str, str] = {}
    users: set[str] = set()
    for row in connection.execute(_BLOCKS_OF, {"terms": terms}):
        if row.search_term not in normalized:
            normalized[row.search_term] = _term_of(row.search_term)
        shapes = shapes_of.get((normalized[row.search_term], row.fetch_mode), ())
        if shapes and (row.format == "mixed" or row.format in shapes):
            users.add(row.display_id)
    return users


def _term_of(search: str) -> str:
    """The normalized search; '' for an invalid one, which plain SQL can store."""
    try:
        return parse_query(search).term
    except InvalidInputError:
        return ""


def note_plans_with(
    connection: Connection,
    posts: Collection[str],
    terms: Collection[str] | None,
    since: datetime | None = None,
) -> int:
    """Note, as urgent, the displays whose plan still has one of ``posts``; returns how many.

    Covers the displays that search for one of ``terms``, or all if that is None.
    """
    if not posts:
        return 0
    asked: dict[str, list[str]] = {"posts": sorted(posts)}
    if terms is None:
        found = list(connection.scalars(_ALL_PLANS_WITH, asked))
    else:
        found = list(connection.scalars(_PLANS_WITH, {**asked, "terms": sorted(terms)}))
    _note_for_posts(connection, found, since, urgent=True)
    return len(found)


def begin_settling(connection: Connection, display_ids: Collection[str]) -> list[int]:
    """The ids of the changes that this transaction settles; its own writes are not noted."""
    connection.execute(_SETTLING)
    return list(connection.scalars(_SEEN, {"ids": list(display_ids)}))


def end_settling(
    connection: Connection, seen: Collection[int]
) -> dict[str, tuple[datetime, datetime]]:
    """Remove the changes that `begin_settling` found; later changes stay.

    Returns, by display, when the first change was made, and when it was settled.
    """
    settled: dict[str, tuple[datetime, datetime]] = {}
    if seen:
        for row in connection.execute(_REMOVE, {"ids": list(seen)}):
            since, _ = settled.get(row.display_id, (row.changed_at, row.settled_at))
            settled[row.display_id] = (min(since, row.changed_at), row.settled_at)
    return settled


def next_displays(connection: Connection, most: int, most_others: int) -> tuple[list[str], bool]:
    """The displays to settle next: ``most`` urgent ones at most, else ``most_others`` others."""
    rows = connection.execute(_NEXT, {"most": most}).all()
    urgent = [row.display_id for row in rows if row.is_urgent]
    return (urgent, True) if urgent else ([row.display_id for row in rows[:most_others]], False)


def changed_displays(connection: Connection) -> dict[str, datetime]:
    """The displays that wait to be settled, and since when, longest first."""
    return {row.display_id: row.since for row in connection.execute(_CHANGED)}

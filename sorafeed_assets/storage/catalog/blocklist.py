"""`blocklist`: posts and creators that no display plays, and how counting follows it.

A post is excluded when it is on the blocklist, or its creator is. Counting keeps its own copy,
`counted_blocklist`: where the two differ, a refresh writes the posts concerned to the outbox, and
applies them like edited posts.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.blocklist import Kind, Target

# Under NOT or OR, so that each EXISTS stays a condition: a join would change how posts are found.
_IS_EXCLUDED: Final = """(
    EXISTS (SELECT FROM {blocklist} AS x WHERE x.kind = 'post' AND x.target_id = {post_id})
    OR EXISTS (SELECT FROM {blocklist} AS x WHERE x.kind = 'creator' AND x.target_id = {creator_id})
)"""


def is_excluded(post_id: str, creator_id: str, blocklist: str = "blocklist") -> str:
    """The SQL condition that a post is excluded; never NULL.

    Args:
        post_id: the SQL expression of its id.
        creator_id: that of its creator's, which may be NULL.
        blocklist: the table, ``blocklist`` or ``counted_blocklist``.
    """
    return _IS_EXCLUDED.format(blocklist=blocklist, post_id=post_id, creator_id=creator_id)


_WAITING: Final = """
(SELECT kind, target_id FROM blocklist EXCEPT SELECT kind, target_id FROM counted_blocklist)
UNION ALL
(SELECT kind, target_id FROM counted_blocklist EXCEPT SELECT kind, target_id FROM blocklist)
"""
IS_WAITING: Final = f"EXISTS ({_WAITING})"
"""Whether counting has not followed a change of the blocklist yet, as SQL."""
# When something was allowed again is not kept.
_ALL_WAITING: Final = text(f"""
SELECT kind, target_id, coalesce(b.excluded_at, to_timestamp(0)) AS since
FROM ({_WAITING}) AS w LEFT JOIN blocklist AS b USING (kind, target_id)
ORDER BY kind, target_id
""")

_NOTE: Final = {
    # What waits is read once, before the first row is written: an outbox that was empty is planned
    # as one, and would be read for every post while it grows.
    kind: text(f"""
WITH waiting AS MATERIALIZED (SELECT catalog_day, post_id FROM catalog_changes)
INSERT INTO catalog_changes (catalog_day, post_id, kind, old_text, old_width, old_height,
    old_creator_id)
SELECT catalog_day(p.indexed_at), p.id, 'update', p.text, p.width, p.height, p.creator_id
FROM sora_posts AS p
WHERE p.{column} = ANY(CAST(:targets AS text[]))
  AND {is_excluded("p.id", "p.creator_id")}
   <> {is_excluded("p.id", "p.creator_id", "counted_blocklist")}
  AND NOT EXISTS (
      SELECT FROM waiting AS c
      WHERE c.post_id = p.id AND c.catalog_day = catalog_day(p.indexed_at))
""")
    for kind, column in ((Kind.POST, "id"), (Kind.CREATOR, "creator_id"))
}
_FORGET_COUNTED: Final = text("""
DELETE FROM counted_blocklist AS c
WHERE NOT EXISTS (
    SELECT FROM blocklist AS b WHERE (b.kind, b.target_id) = (c.kind, c.target_id))
""")
_KEEP_COUNTED: Final = text("""
INSERT INTO counted_blocklist (kind, target_id) SELECT kind, target_id FROM blocklist
ON CONFLICT DO NOTHING
""")

_ADD: Final = text("""
INSERT INTO blocklist (kind, target_id, excluded_by, note) VALUES (:kind, :id, :by, :note)
ON CONFLICT DO NOTHING
""")
_REMOVE: Final = text("DELETE FROM blocklist WHERE (kind, target_id) = (:kind, :id)")
_EXISTS: Final = {
    Kind.POST: text("SELECT EXISTS (SELECT FROM sora_posts WHERE id = :id)"),
    # Of a creator that the scanner has not written yet, there may be posts.
    Kind.CREATOR: text("""
SELECT EXISTS (SELECT FROM creators WHERE id = :id)
    OR EXISTS (SELECT FROM sora_posts WHERE creator_id = :id)
"""),
}
_DESCRIBED: Final = {
    Kind.POST: text("SELECT left(text, 280), creator_id FROM sora_posts WHERE id = :id"),
    Kind.CREATOR: text("SELECT coalesce(display_name, username), id FROM creators WHERE id = :id"),
}
_ENTRIES: Final = """
SELECT b.kind, b.target_id, b.excluded_at, b.excluded_by, b.note,
    CASE b.kind
        WHEN 'post' THEN (SELECT left(p.text, 280) FROM sora_posts AS p WHERE p.id = b.target_id)
        ELSE (SELECT coalesce(c.display_name, c.username) FROM creators AS c
              WHERE c.id = b.target_id)
    END AS label
FROM blocklist AS b
"""
_ONE: Final = text(f"{_ENTRIES} WHERE (b.kind, b.target_id) = (:kind, :id)")
_LISTED: Final = text(f"""
{_ENTRIES}
WHERE CAST(:at AS timestamptz) IS NULL
   OR (b.excluded_at, b.kind, b.target_id) < (CAST(:at AS timestamptz), :kind, :id)
ORDER BY b.excluded_at DESC, b.kind DESC, b.target_id DESC LIMIT :most
""")
_AMONG: Final = text("""
SELECT kind, target_id FROM blocklist
WHERE kind = 'post' AND target_id = ANY(CAST(:posts AS text[]))
   OR kind = 'creator' AND target_id = ANY(CAST(:creators AS text[]))
""")

_EXCLUDED_AMONG: Final = text(f"""
SELECT p.id FROM sora_posts AS p
WHERE p.id = ANY(CAST(:posts AS text[])) AND {is_excluded("p.id", "p.creator_id")}
""")


class Entry(NamedTuple):
    """An excluded post or creator; ``label`` is the post's text or the creator's name, if known."""

    kind: Kind
    target_id: str
    excluded_at: datetime
    excluded_by: str
    note: str
    label: str | None


class Described(NamedTuple):
    """A post's text or a creator's name, and the creator's id; what is not known is None."""

    label: str | None
    creator_id: str | None


def describe_target(connection: Connection, target: Target) -> Described:
    """What a post or creator is called."""
    row = connection.execute(_DESCRIBED[target.kind], {"id": target.id}).one_or_none()
    return Described(None, None) if row is None else Described(*row)


def target_exists(connection: Connection, target: Target) -> bool:
    """Whether the catalogue has the post, or the creator."""
    return bool(connection.scalar(_EXISTS[target.kind], {"id": target.id}))


def add_target(connection: Connection, target: Target, by: str, note: str) -> bool:
    """Exclude a post or creator; False when it was excluded before."""
    values = {"kind": target.kind.value, "id": target.id, "by": by, "note": note}
    return connection.execute(_ADD, values).rowcount == 1


def remove_target(connection: Connection, target: Target) -> bool:
    """Take a post or creator off the blocklist; False when it was not on it."""
    values = {"kind": target.kind.value, "id": target.id}
    return connection.execute(_REMOVE, values).rowcount == 1


def load_entry(connection: Connection, target: Target) -> Entry | None:
    """The entry of a post or creator."""
    row = connection.execute(_ONE, {"kind": target.kind.value, "id": target.id}).one_or_none()
    return None if row is None else _entry(row)


def list_entries(
    connection: Connection, most: int, after: tuple[datetime, Target] | None = None
) -> list[Entry]:
    """The next entries, the latest first."""
    at, target = after or (None, Target(Kind.POST, ""))
    values = {"at": at, "kind": target.kind.value, "id": target.id, "most": most}
    return [_entry(row) for row in connection.execute(_LISTED, values)]


def _entry(row: Sequence[object]) -> Entry:
    kind, *rest = row
    return Entry(Kind(str(kind)), *rest)  # type: ignore[arg-type]  # the columns of _ENTRIES


def listed_among(
    connection: Connection, post_ids: Collection[str], creator_ids: Collection[str]
) -> set[Target]:
    """Those of the posts and creators that are on the blocklist."""
    asked = {"posts": list(post_ids), "creators": list(creator_ids)}
    return {Target(Kind(kind), found) for kind, found in connection.execute(_AMONG, asked)}


def excluded_among(connection: Connection, post_ids: Collection[str]) -> set[str]:
    """Those of the posts that are excluded, by themselves or by their creator."""
    return set(connection.scalars(_EXCLUDED_AMONG, {"posts": sorted(post_ids)}))


def is_waiting(connection: Connection) -> bool:
    """Whether counting has not followed a change of the blocklist yet."""
    return bool(connection.scalar(text(f"SELECT {IS_WAITING}")))


def waiting(connection: Connection) -> dict[Target, datetime]:
    """What counting has not followed yet, and since when: 1970 for what was allowed again."""
    rows = connection.execute(_ALL_WAITING)
    return {Target(Kind(row.kind), row.target_id): row.since for row in rows}


def note_changed(connection: Connection) -> int | None:
    """Write the posts to the outbox that the blocklist excludes now, or no longer.

    Posts that wait there anyway are left out. The caller holds the lock of counting, and calls
    `mark_counted` once it has applied every waiting change. Returns how many posts were written,
    None when the blocklist is as counting knows it.
    """
    changed = waiting(connection)
    if not changed:
        return None
    noted = 0
    for kind, statement in _NOTE.items():
        if targets := [target.id for target in changed if target.kind is kind]:
            noted += connection.execute(statement, {"targets": targets}).rowcount
    return noted


def mark_counted(connection: Connection) -> None:
    """Note that counts and pools follow the blocklist as this transaction sees it."""
    connection.execute(_FORGET_COUNTED)
    connection.execute(_KEEP_COUNTED)

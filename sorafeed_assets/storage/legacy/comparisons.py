"""Our side of comparing the catalogue with the old one, and what the last comparisons found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from sorafeed_assets.storage.legacy import columns
from sorafeed_assets.storage.legacy.old_catalog import CREATORS, Digest, Part

_POSTS: Final = """
FROM sora_posts AS r WHERE r.indexed_at >= :since AND r.indexed_at < :until
"""
_CREATORS: Final = "FROM creators AS r"
_STORE: Final = text("""
INSERT INTO legacy_comparisons
    (part, old_rows, our_rows, missing, changed, only_here, compared_at, old_digest)
VALUES (:part, :old_rows, :our_rows, :missing, :changed, :only_here, now(), :old_digest)
ON CONFLICT (part) DO UPDATE SET (old_rows, our_rows, missing, changed, only_here, compared_at,
        old_digest)
    = ROW(excluded.old_rows, excluded.our_rows, excluded.missing, excluded.changed,
          excluded.only_here, excluded.compared_at, excluded.old_digest)
""")
_READ: Final = text("""
SELECT part, old_rows, our_rows, missing, changed, only_here, compared_at, old_digest
FROM legacy_comparisons ORDER BY part
""")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a part differed; ``missing`` and ``changed`` rows were copied again."""

    part: str
    old_rows: int
    our_rows: int
    missing: int = 0
    changed: int = 0
    only_here: int = 0
    compared_at: datetime | None = None
    old_digest: str | None = None

    @property
    def repaired(self) -> int:
        """How many rows were copied again."""
        return self.missing + self.changed


def our_digest(connection: Connection, part: Part) -> Digest:
    """The digest of a part here."""
    total = columns.CREATORS_SUM if part == CREATORS else columns.POSTS_SUM
    rows, values = _rows(part)
    count, digest = connection.execute(text(f"SELECT count(*), {total} {rows}"), values).one()
    return Digest(int(count), int(digest))


def our_row_digests(connection: Connection, part: Part) -> dict[str, str]:
    """The digest of each row of a part here, by id."""
    one = columns.CREATOR_DIGEST if part == CREATORS else columns.POST_DIGEST
    rows, values = _rows(part)
    found = connection.execute(text(f"SELECT r.id, {one} {rows}"), values)
    return {row_id: digest for row_id, digest in found}  # noqa: C416  # rows, not pairs


def store_comparison(connection: Connection, comparison: Comparison) -> None:
    """Keep the result of a comparison over that of the last one."""
    connection.execute(
        _STORE,
        {
            "part": comparison.part,
            "old_rows": comparison.old_rows,
            "our_rows": comparison.our_rows,
            "missing": comparison.missing,
            "changed": comparison.changed,
            "only_here": comparison.only_here,
            "old_digest": comparison.old_digest,
        },
    )


def read_comparisons(connection: Connection) -> Sequence[Comparison]:
    """The last comparison of each part, by part."""
    return [Comparison(*row) for row in connection.execute(_READ)]


def _rows(part: Part) -> tuple[str, dict[str, Any]]:
    if part == CREATORS:
        return _CREATORS, {}
    return _POSTS, {"since": part.since, "until": part.until}

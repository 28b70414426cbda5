"""What PostGraphile needs to answer the same queries from the same tables."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine, text

# PostGraphile reads a value that no column has through a function of the row. It finds two objects
# that it would call catalogDay, so one is omitted by a comment.
_PREPARE: Final = (
    """
CREATE OR REPLACE FUNCTION playlist_blocks_total(block playlist_blocks) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT total_count FROM video_counts_by_search
    WHERE search_term = lower(block.search_term) AND format = block.format
$$
""",
    "COMMENT ON FUNCTION catalog_day IS '@omit'",
)
_TAKE_BACK: Final = (
    "DROP FUNCTION IF EXISTS playlist_blocks_total(playlist_blocks)",
    "COMMENT ON FUNCTION catalog_day IS NULL",
)


def prepare(engine: Engine) -> None:
    """Add the function by which PostGraphile reads totals."""
    _execute(engine, _PREPARE)


def take_back(engine: Engine) -> None:
    """Remove what `prepare` added."""
    _execute(engine, _TAKE_BACK)


def _execute(engine: Engine, statements: Sequence[str]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))

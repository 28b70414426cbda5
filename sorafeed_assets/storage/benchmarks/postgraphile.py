"""What PostGraphile needs to answer the same questions from the same tables."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine, text

# PostGraphile's way to a value that no column has: a function of the row. It finds two things that
# it would call catalogDay, and has to be told to leave one out.
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
    """Add what PostGraphile reads totals by."""
    _execute(engine, _PREPARE)


def take_back(engine: Engine) -> None:
    """Remove what `prepare` added."""
    _execute(engine, _TAKE_BACK)


def _execute(engine: Engine, statements: Sequence[str]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))

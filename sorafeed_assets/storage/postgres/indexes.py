"""The indexes of posts: built after a large load, or rebuilt when missing or interrupted.

Building an index once is about ten times as fast as updating it row by row. Building one
concurrently also sorts every entry that it has: of a text's trigrams there are hundreds, so that
this takes most of the time.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, Index, make_url, text
from sqlalchemy.schema import CreateIndex, DropIndex

from sorafeed_assets.storage.postgres.locks import alone
from sorafeed_assets.storage.postgres.tables import concurrent_indexes, sora_posts

_log: Final = logging.getLogger(__name__)
_INDEXES_LOCK: Final = 0x50FA_1DE5

_IS_EMPTY: Final = "SELECT NOT EXISTS (SELECT FROM sora_posts)"
_IS_OWNED: Final = """
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('sora_posts')
"""
_IS_VALID: Final = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"

_DIALECT: Final = make_url("postgresql+psycopg://").get_dialect()()
_INDEXES: Final = tuple(index for index in concurrent_indexes if index.table is sora_posts)


@contextmanager
def indexes_built_after(
    engine: Engine,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    may_drop: bool = True,
) -> Iterator[bool]:
    """Build the catalogue's missing indexes when the block ends; an empty one drops them first.

    Yields whether any are missing meanwhile; of another login's, none are dropped or built. A block
    that fails builds none: the next load or the next migration does. Other writers of posts wait
    while they are built. ``on_progress`` is called with the indexes built and the indexes in all.
    """
    with engine.begin() as connection:
        are_missing = may_drop and _drop_if_empty(connection)
        if not are_missing and missing_indexes(connection):
            are_missing = bool(connection.scalar(text(_IS_OWNED)))
    yield are_missing
    if are_missing:
        _build_missing(engine, on_progress, concurrently=False)


def _drop_if_empty(connection: Connection) -> bool:
    if not connection.scalar(text(_IS_EMPTY)):
        return False
    if not connection.scalar(text(_IS_OWNED)):
        _log.warning(
            "the indexes of posts belong to another login, so they are updated with each row, which"
            " takes about ten times as long; use the login of `sorafeed migrate` for a first load"
        )
        return False
    # No insert may come between the check and the drop.
    connection.execute(text("LOCK TABLE sora_posts IN ACCESS EXCLUSIVE MODE"))
    if not connection.scalar(text(_IS_EMPTY)):
        return False
    for index in _INDEXES:
        connection.execute(DropIndex(index, if_exists=True))
    return True


def build_missing_indexes(
    engine: Engine, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Build the catalogue's indexes that are missing or were interrupted; returns how many.

    Writers of posts do not wait.
    """
    return _build_missing(engine, on_progress, concurrently=True)


def _build_missing(
    engine: Engine, on_progress: Callable[[int, int], None] | None, *, concurrently: bool
) -> int:
    built = 0
    with _building(engine) as connection:
        for number, index in enumerate(_INDEXES):
            if not _is_valid(connection, index):
                connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}"))
                connection.execute(text(_creation(index, concurrently=concurrently)))
                built += 1
            if on_progress is not None:
                on_progress(number + 1, len(_INDEXES))
    return built


def missing_indexes(connection: Connection) -> list[str]:
    """The names of the catalogue's indexes that are missing or were interrupted."""
    return [str(index.name) for index in _INDEXES if not _is_valid(connection, index)]


def _is_valid(connection: Connection, index: Index) -> bool:
    return bool(connection.scalar(text(_IS_VALID), {"name": index.name}))


@contextmanager
def _building(engine: Engine) -> Iterator[Connection]:
    """A session of its own that may build indexes, one such session at a time."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone(engine, _INDEXES_LOCK), autocommit.connect() as connection:
        try:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET maintenance_work_mem = '512MB'"))
            yield connection
        finally:
            # Keeps the session's settings out of the pool.
            connection.invalidate()


def analyze(engine: Engine) -> None:
    """Refresh the planner's statistics after a large load, ahead of autovacuum."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) sora_posts"))


def _creation(index: Index, *, concurrently: bool) -> str:
    statement = str(CreateIndex(index).compile(dialect=_DIALECT))
    if not concurrently:
        return statement
    return statement.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1)

"""The catalogue of a benchmark: saved, restored, warmed, and its tracked terms."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.domain.catalog.search import SearchQuery

ADDED: Final = "t_"
"""The first letters of ids of posts that a benchmark adds; no generated post has them."""

# The tables that counting writes, including those that triggers write.
_KEPT: Final = (
    *("video_counts_daily", "count_digests", "catalog_days"),
    *("video_candidates", "candidate_pools"),
)
# The view of totals is not restored, and neither is its record.
_KEPT_ASSETS: Final = "'sora_posts', 'video_counts_daily', 'video_candidates'"
_IS_KEPT: Final = text("SELECT to_regclass('bench.lineage_heads') IS NOT NULL")
_KEEP: Final = (
    text("DROP SCHEMA IF EXISTS bench CASCADE"),
    text("CREATE SCHEMA bench"),
    *(text(f"CREATE TABLE bench.{table} AS TABLE {table}") for table in _KEPT),
    text(f"""
    CREATE TABLE bench.lineage_heads AS
    SELECT DISTINCT ON (asset, partition) asset, partition, data_version, made_from, metadata
    FROM lineage_records WHERE asset IN ({_KEPT_ASSETS}) ORDER BY asset, partition, id DESC
    """),
)

# Without triggers, because the removal must leave no changes in the outbox.
_WITHOUT_TRIGGERS: Final = text("SET LOCAL session_replication_role = replica")
_REWIND: Final = (
    _WITHOUT_TRIGGERS,
    text("DELETE FROM sora_posts WHERE id >= 't_' AND id < 'u'"),
    text("DELETE FROM catalog_changes WHERE post_id >= 't_' AND post_id < 'u'"),
    *(text(f"DELETE FROM {table}") for table in _KEPT),
    *(text(f"INSERT INTO {table} TABLE bench.{table}") for table in _KEPT),
    text(f"DELETE FROM lineage_records WHERE asset IN ({_KEPT_ASSETS})"),
    text("""
    INSERT INTO lineage_records (asset, partition, data_version, made_from, metadata)
    SELECT asset, partition, data_version, made_from, metadata FROM bench.lineage_heads
    """),
)
_VACUUM: Final = text("VACUUM (ANALYZE) catalog_changes, video_counts_daily, video_candidates")

_WARM: Final = (
    text("CREATE EXTENSION IF NOT EXISTS pg_prewarm"),
    text("SELECT pg_prewarm('sora_posts')"),
    text(
        "SELECT pg_prewarm(i.indexrelid) FROM pg_index i WHERE i.indrelid = 'sora_posts'::regclass"
    ),
)

_KEEP_TERMS: Final = text("DELETE FROM search_terms WHERE term <> ALL(:terms)")
_ADD_TERMS: Final = text("""
WITH added AS (
    INSERT INTO search_terms (term, phrase, exclusions)
    VALUES (:term, :phrase, :exclusions) ON CONFLICT DO NOTHING RETURNING term
)
INSERT INTO watched_terms (term) SELECT term FROM added
""").bindparams(bindparam("exclusions", type_=JSONB))

# An insert that waits longer than this for a lock ends the benchmark with an error.
_NO_LOCK_TIMEOUT: Final = text("SET lock_timeout = 0")
_USUAL_LOCK_TIMEOUT: Final = text("RESET lock_timeout")
_LOCK_TIMEOUT: Final = text("SET LOCAL lock_timeout = '250ms'")
_BUILD_INDEX: Final = text(
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS bench_task_idx ON sora_posts (task_id)"
)
_DROP_INDEX: Final = text("DROP INDEX CONCURRENTLY IF EXISTS bench_task_idx")


def is_kept(connection: Connection) -> bool:
    """Whether a saved state exists."""
    return bool(connection.scalar(_IS_KEPT))


def keep(connection: Connection) -> None:
    """Save the state of the catalogue, for `put_back`."""
    for statement in _KEEP:
        connection.execute(statement)


def put_back(connection: Connection) -> None:
    """Restore the saved state of the catalogue."""
    for statement in _REWIND:
        connection.execute(statement)


def vacuum(connection: Connection) -> None:
    """Do what autovacuum does within a minute; takes a connection in autocommit."""
    connection.execute(_VACUUM)


def warm(connection: Connection) -> None:
    """Read the posts and their indexes into memory."""
    for statement in _WARM:
        connection.execute(statement)


def track_exactly(connection: Connection, queries: Sequence[SearchQuery]) -> None:
    """Make these the tracked terms, all of them watched."""
    connection.execute(_KEEP_TERMS, {"terms": [query.term for query in queries]})
    connection.execute(
        _ADD_TERMS,
        [{"term": q.term, "phrase": q.phrase, "exclusions": list(q.exclusions)} for q in queries],
    )


def insert_impatiently(connection: Connection, *, with_triggers: bool) -> None:
    """Let this transaction fail instead of waiting for locks; optionally disable the triggers."""
    connection.execute(_LOCK_TIMEOUT)
    if not with_triggers:
        connection.execute(_WITHOUT_TRIGGERS)


def build_index(connection: Connection) -> None:
    """Build an index that only the benchmark needs; takes a connection in autocommit."""
    # It waits for all earlier transactions, as in a migration.
    connection.execute(_NO_LOCK_TIMEOUT)
    try:
        connection.execute(_BUILD_INDEX)
    finally:
        connection.execute(_USUAL_LOCK_TIMEOUT)


def drop_index(connection: Connection) -> None:
    """Drop the index of `build_index` if it exists; takes a connection in autocommit."""
    connection.execute(_DROP_INDEX)

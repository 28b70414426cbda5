"""`lineage_records`: the data version of each asset's partition, and what waits for Dagster.

A change is written by the transaction that makes it. The last record of a partition is its head;
a record without ``recorded_at`` waits for the recorder. Not here: how a record becomes an event
(`defs.lineage`), and which version a partition should have (each room's own services).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.storage.postgres.locks import LockSpace, lock

WHOLE: Final = ""
"""The partition of an asset that has none."""
NOTHING: Final = "none"
"""The data version of a partition that holds nothing."""
BY_EVENT: Final = "by event"
"""The version of an upstream asset whose changes are applied one by one."""
REACT_LEASE: Final = "react"
"""The lease of the `sorafeed react` that leads."""


@dataclass(frozen=True, slots=True)
class Change:
    """The new state of a partition of an asset; ``made_from`` has upstream versions."""

    asset: str
    partition: str
    data_version: str
    made_from: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineageRecord:
    """A stored change; with ``attempts`` above 1 Dagster may have it already."""

    id: int
    asset: str
    partition: str
    data_version: str
    made_from: Mapping[str, str]
    metadata: Mapping[str, Any]
    attempts: int
    created_at: datetime


# Writing the version that a partition already has is not a change.
_WRITE: Final = text("""
INSERT INTO lineage_records (asset, partition, data_version, made_from, metadata)
SELECT c.asset, c.partition, c.data_version, c.made_from, c.metadata
FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS c (
    asset text, partition text, data_version text, made_from jsonb, metadata jsonb)
LEFT JOIN LATERAL (
    SELECT data_version FROM lineage_records l
    WHERE l.asset = c.asset AND l.partition = c.partition ORDER BY l.id DESC LIMIT 1
) AS head ON true
WHERE head.data_version IS DISTINCT FROM c.data_version
ORDER BY c.asset, c.partition
RETURNING asset, partition
""")

# Repeats the head, with other upstream versions.
_RENEW: Final = text("""
INSERT INTO lineage_records (asset, partition, data_version, made_from, metadata)
SELECT h.asset, h.partition, h.data_version, h.made_from || CAST(:made_from AS jsonb), h.metadata
FROM (
    SELECT DISTINCT ON (partition) * FROM lineage_records
    WHERE asset = :asset AND partition = ANY(CAST(:partitions AS text[]))
    ORDER BY partition, id DESC
) AS h
WHERE NOT h.made_from @> CAST(:made_from AS jsonb)
ORDER BY h.partition
""")

# Repeats the head, for a run that has to record every requested partition.
_REPEAT: Final = text("""
INSERT INTO lineage_records (asset, partition, data_version, made_from, metadata)
SELECT h.asset, h.partition, h.data_version, h.made_from, h.metadata
FROM (
    SELECT DISTINCT ON (partition) * FROM lineage_records
    WHERE asset = :asset
      AND (CAST(:partitions AS text[]) IS NULL OR partition = ANY(CAST(:partitions AS text[])))
    ORDER BY partition, id DESC
) AS h
WHERE h.recorded_at IS NOT NULL
ORDER BY h.partition
""")

_KNOWN: Final = text("""
SELECT a.asset, a.partition
FROM unnest(CAST(:assets AS text[]), CAST(:partitions AS text[])) AS a (asset, partition)
WHERE EXISTS (
    SELECT FROM lineage_records l WHERE l.asset = a.asset AND l.partition = a.partition)
""")

_HEADS: Final = text("""
SELECT DISTINCT ON (asset, partition) asset, partition, data_version FROM lineage_records
WHERE CAST(:asset AS text) IS NULL OR asset = :asset
ORDER BY asset, partition, id DESC
""")

_MADE_SINCE: Final = text("""
SELECT partition FROM lineage_records
WHERE asset = :asset GROUP BY partition HAVING max(created_at) >= :moment
""")

_VERSION: Final = text("""
SELECT data_version FROM lineage_records
WHERE asset = :asset AND partition = :partition ORDER BY id DESC LIMIT 1
""")

_WAS_RECORDED: Final = text("""
SELECT EXISTS (
    SELECT FROM lineage_records WHERE asset = :asset AND recorded_at IS NOT NULL)
""")

_WAITING_ASSETS: Final = text("""
SELECT asset, count(*) AS records, min(created_at) AS since FROM lineage_records
WHERE recorded_at IS NULL GROUP BY asset
""")

_WAITING: Final = text("""
SELECT partition, min(created_at) AS since FROM lineage_records
WHERE recorded_at IS NULL AND asset = :asset GROUP BY partition
""")

# In a transaction of its own, so that after a kill the next attempt knows of this one.
_BEGIN: Final = text("""
UPDATE lineage_records SET attempts = attempts + 1
WHERE id IN (
    SELECT id FROM lineage_records
    WHERE recorded_at IS NULL AND asset = :asset
      AND (CAST(:partitions AS text[]) IS NULL OR partition = ANY(CAST(:partitions AS text[])))
    ORDER BY id LIMIT :most
)
""")

_TAKE: Final = text("""
SELECT id, asset, partition, data_version, made_from, metadata, attempts, created_at
FROM lineage_records
WHERE recorded_at IS NULL AND asset = :asset AND attempts > 0
  AND (CAST(:partitions AS text[]) IS NULL OR partition = ANY(CAST(:partitions AS text[])))
ORDER BY id LIMIT :most
""")

_RECORDED: Final = text("""
UPDATE lineage_records SET recorded_at = clock_timestamp()
WHERE id = ANY(CAST(:ids AS bigint[]))
""")

# Only the head of a partition's recorded rows is needed.
_PRUNE: Final = text("""
DELETE FROM lineage_records l
USING (
    SELECT partition, max(id) AS id FROM lineage_records
    WHERE asset = :asset AND id = ANY(CAST(:ids AS bigint[])) GROUP BY partition
) AS last
WHERE l.asset = :asset AND l.partition = last.partition AND l.id < last.id
  AND l.recorded_at IS NOT NULL
""")

_FORGET: Final = text("""
DELETE FROM lineage_records
WHERE asset = ANY(CAST(:assets AS text[])) AND partition = ANY(CAST(:partitions AS text[]))
""")

_LEASE: Final = text("""
INSERT INTO leases AS l (name, holder, expires_at)
VALUES (:name, :holder, clock_timestamp() + :life)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at < clock_timestamp()
RETURNING true
""")

_END_LEASE: Final = text("DELETE FROM leases WHERE name = :name AND holder = :holder")


def hold_asset(connection: Connection, asset: str) -> None:
    """Acquire the lock under which an unpartitioned asset is changed and recorded."""
    lock(connection, LockSpace.ASSET, [asset])


def write_changes(connection: Connection, changes: Sequence[Change]) -> list[tuple[str, str]]:
    """Record the state of partitions; returns the (asset, partition) pairs that changed.

    The caller holds the locks that serialize writers of these partitions. While the process is
    traced, the metadata name the span that made the change, as ``traceparent``.
    """
    if not changes:
        return []
    # Imported here, because commands that only list records of others do not write any.
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    trace: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(trace)
    records = orjson.dumps(
        [
            {
                "asset": change.asset,
                "partition": change.partition,
                "data_version": change.data_version,
                "made_from": dict(change.made_from),
                "metadata": {**change.metadata, **trace},
            }
            for change in changes
        ]
    ).decode()
    return [(row.asset, row.partition) for row in connection.execute(_WRITE, {"changes": records})]


def ensure_heads(connection: Connection, changes: Sequence[Change]) -> None:
    """Record partitions that have no record yet; the caller holds the locks, as of any change."""
    write_changes(connection, unrecorded(connection, changes))


def unrecorded(connection: Connection, changes: Sequence[Change]) -> list[Change]:
    """The changes of partitions that have no record yet."""
    values = {
        "assets": [change.asset for change in changes],
        "partitions": [change.partition for change in changes],
    }
    known = {(row.asset, row.partition) for row in connection.execute(_KNOWN, values)}
    return [change for change in changes if (change.asset, change.partition) not in known]


def renew_heads(
    connection: Connection, asset: str, partitions: Collection[str], made_from: Mapping[str, str]
) -> None:
    """Record again those partitions that were made from other upstream versions than these.

    They were made again from these, with the same result. The caller holds the locks that serialize
    writers of these partitions.
    """
    versions = orjson.dumps(dict(made_from)).decode()
    values = {"asset": asset, "partitions": _array(partitions), "made_from": versions}
    connection.execute(_RENEW, values)


def repeat_heads(connection: Connection, asset: str, partitions: Collection[str] | None) -> None:
    """Queue the heads of these partitions, or of all, to be recorded again."""
    connection.execute(_REPEAT, {"asset": asset, "partitions": _array(partitions)})


def heads(connection: Connection, asset: str | None = None) -> dict[str, dict[str, str]]:
    """Asset → partition → the data version of its head, recorded or waiting."""
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(_HEADS, {"asset": asset}):
        found.setdefault(row.asset, {})[row.partition] = row.data_version
    return found


def made_since(connection: Connection, asset: str, moment: datetime) -> set[str]:
    """The partitions with a record made at or after a moment."""
    return set(connection.scalars(_MADE_SINCE, {"asset": asset, "moment": moment}))


def head_version(connection: Connection, asset: str, partition: str = WHOLE) -> str:
    """The data version that a partition has; ``none`` before its first record."""
    found = connection.scalar(_VERSION, {"asset": asset, "partition": partition})
    return NOTHING if found is None else str(found)


def was_recorded(connection: Connection, asset: str) -> bool:
    """Whether Dagster was given at least one record of an asset."""
    return bool(connection.scalar(_WAS_RECORDED, {"asset": asset}))


def waiting_assets(connection: Connection) -> dict[str, tuple[int, datetime]]:
    """Asset → how many records wait for Dagster, and since when."""
    return {row.asset: (row.records, row.since) for row in connection.execute(_WAITING_ASSETS)}


def waiting_partitions(connection: Connection, asset: str) -> dict[str, datetime]:
    """Partition → since when a record of it waits for Dagster."""
    return {row.partition: row.since for row in connection.execute(_WAITING, {"asset": asset})}


class Taken:
    """Waiting records of an asset, oldest first, that only this transaction may give to Dagster."""

    def __init__(self, records: Sequence[LineageRecord], connection: Connection) -> None:
        self.records = records
        self._connection = connection

    def confirm(self) -> None:
        """Make sure that they are still taken: with its session, a transaction loses its locks.

        Raises:
            DBAPIError: the session has ended, and another transaction may have taken them.
        """
        self._connection.execute(text("SELECT"))


@contextmanager
def taking(
    engine: Engine, asset: str, partitions: Collection[str] | None = None, *, most: int = 1_000
) -> Iterator[Taken]:
    """Yield waiting records of an asset; marks them recorded if the block succeeds.

    One transaction at a time takes records of an asset, so that Dagster gets them in order.
    """
    asked = {"asset": asset, "partitions": _array(partitions), "most": most}
    with engine.begin() as connection:
        # Under the lock; otherwise two concurrent attempts could both count as the first.
        lock(connection, LockSpace.RECORDER, [asset])
        with engine.begin() as other:
            other.execute(_BEGIN, asked)
        records = [LineageRecord(*row) for row in connection.execute(_TAKE, asked)]
        yield Taken(records, connection)
        if records:
            done = {"asset": asset, "ids": [record.id for record in records]}
            connection.execute(_RECORDED, done)
            connection.execute(_PRUNE, done)


def forget_partitions(
    connection: Connection, assets: Collection[str], partitions: Collection[str]
) -> None:
    """Delete the records of partitions that no longer exist."""
    connection.execute(_FORGET, {"assets": list(assets), "partitions": list(partitions)})


def renew_lease(connection: Connection, name: str, holder: str, life: timedelta) -> bool:
    """Acquire or renew the lease ``name`` for ``life``; False while another holder has it."""
    values = {"name": name, "holder": holder, "life": life}
    return bool(connection.scalar(_LEASE, values))


def end_lease(connection: Connection, name: str, holder: str) -> None:
    """Release a lease, so that another holder can acquire it at once."""
    connection.execute(_END_LEASE, {"name": name, "holder": holder})


def _array(partitions: Collection[str] | None) -> list[str] | None:
    return None if partitions is None else sorted(partitions)

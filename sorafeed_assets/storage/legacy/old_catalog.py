"""Reading the old system's catalogue: one read-only connection to its PostgreSQL.

Nothing here writes, and every transaction is READ ONLY. Not here: what is written from it
(`storage.legacy.posts`) and when it is read (`services.legacy`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from sorafeed_assets.storage.legacy import columns
from sorafeed_assets.storage.legacy.old_server import SETTING, connect, old_errors

_UTC_ZONES: Final = frozenset(
    {"UTC", "ETC/UTC", "GMT", "ETC/GMT", "ZULU", "UCT", "ETC/UCT", "UNIVERSAL"}
)

_SERVER: Final = """
SELECT current_setting('server_version_num')::int AS version,
    pg_encoding_to_char(encoding) AS encoding, current_user AS name,
    pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_transactions
FROM pg_database WHERE datname = current_database()
"""
_COLUMNS: Final = """
SELECT a.attname, format_type(a.atttypid, NULL)
FROM pg_attribute AS a
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_MAY_READ: Final = "SELECT has_table_privilege(to_regclass(%(table)s), 'SELECT')"
_IS_INDEXED: Final = """
SELECT EXISTS (
    SELECT FROM pg_index AS i JOIN pg_attribute AS a
      ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass('sora_posts') AND a.attname = 'indexed_at' AND i.indisvalid
      AND i.indpred IS NULL)
"""
_ESTIMATE: Final = """
SELECT CAST(reltuples AS bigint) FROM pg_class WHERE oid = to_regclass(%(table)s)
"""
_COUNT: Final = {
    "sora_posts": "SELECT count(*) FROM (SELECT FROM sora_posts LIMIT %(most)s) AS p",
    "creators": "SELECT count(*) FROM (SELECT FROM creators LIMIT %(most)s) AS c",
}
_MOST_COUNTED: Final = 100_000
# A transaction's rows have its start as indexed_at. Those of other users are shown only to
# members of pg_read_all_stats.
_SAFE_POINT: Final = """
SELECT least(now() - %(overlap)s, (
    SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend' AND xact_start > now() - interval '1 hour'))
"""
_BOUNDS: Final = f"""
SELECT min(p.indexed_at), max(p.indexed_at) FROM sora_posts AS p WHERE {columns.IS_DATED}
"""
_WAITING: Final = f"""
SELECT count(*) FROM sora_posts AS p WHERE {columns.IS_DATED}
  AND p.indexed_at >= CAST(%(at)s AS timestamp)
"""
# Both bounds are stated for the index; the order of ids is that of bytes on every server.
_CHUNK: Final = f"""
{columns.OLD_POSTS} AND {columns.IS_DATED}
  AND p.indexed_at >= CAST(%(at)s AS timestamp) AND p.indexed_at < CAST(%(until)s AS timestamp)
  AND (p.indexed_at > CAST(%(at)s AS timestamp) OR p.id COLLATE "C" > %(id)s)
ORDER BY p.indexed_at, p.id COLLATE "C" LIMIT %(most)s
"""
_TAIL: Final = f"""
SELECT p.id FROM sora_posts AS p
WHERE {columns.IS_DATED} AND p.id <> '' AND p.indexed_at >= CAST(%(since)s AS timestamp)
"""
_POSTS_BY_ID: Final = f"{columns.OLD_POSTS} AND p.id = ANY(%(ids)s)"
_UNDATED: Final = f"{columns.OLD_POSTS} AND {columns.IS_UNDATED}"
_CREATORS: Final = f"{columns.OLD_CREATORS} AND c.id > %(id)s AND c.id <= %(last)s"
_LAST_CREATOR: Final = """
SELECT max(id) FROM (SELECT id FROM creators WHERE id > %(id)s ORDER BY id LIMIT %(most)s) AS f
"""
_CREATORS_BY_ID: Final = f"{columns.OLD_CREATORS} AND c.id = ANY(%(ids)s)"
_DAY: Final = f"""
{columns.OLD_POSTS} AND {columns.IS_DATED}
  AND p.indexed_at >= %(since)s AND p.indexed_at < %(until)s
"""


@dataclass(frozen=True, slots=True)
class OldServer:
    """What a connection shows of the old catalogue; ``problems`` keep it from being read."""

    where: str
    version: int
    encoding: str
    zone: str
    user: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


class Digest(NamedTuple):
    """How many rows, and the sum of their digests."""

    rows: int
    total: int


class Part(NamedTuple):
    """A part of the catalogue that both sides compare: posts of a time, undated ones, creators."""

    name: str
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of_day(cls, day: date, until: datetime) -> "Part":
        """The posts of a catalog day, up to ``until``."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return cls(day.isoformat(), start, min(start + timedelta(days=1), until))


CREATORS: Final = Part("creators")
UNDATED: Final = Part("undated")


class OldCatalog:
    """The old catalogue, read by one connection. Not safe to share between threads.

    Every method raises UnavailableError when the server does not answer, and SetupError when it
    refuses.
    """

    def __init__(self, connection: psycopg.Connection, where: str, zone: str) -> None:
        self._connection = connection
        self._where = where
        self._zone = zone

    def inspect(self) -> OldServer:
        """Look at its version, tables, types, rights, and zone."""
        ((version, encoding, user, sees_transactions),) = self._rows(_SERVER)
        problems = list(self._table_problems(str(user)))
        if encoding == "SQL_ASCII":
            problems.append(
                "its encoding is SQL_ASCII, so its texts may be in any encoding; copy it into a"
                " database in UTF8, and name that one"
            )
        if self._zone.upper() not in _UTC_ZONES:
            problems.append(
                f"its sessions are in the zone {self._zone}, and its times have no zone; they are"
                " read as UTC. If the scanner's sessions are in UTC, add"
                f" ?options=-c%20TimeZone%3DUTC to {SETTING}; if not, its times have to be"
                " converted there"
            )
        warnings = []
        if not problems and not self._one(_IS_INDEXED):
            warnings.append(
                "sora_posts has no index on indexed_at, so following reads the whole table each"
                " second; create one: CREATE INDEX CONCURRENTLY ON sora_posts (indexed_at)"
            )
        if not problems and not sees_transactions:
            warnings.append(
                f"{user} cannot see how long the scanner's transactions take, so that posts of one"
                " over five minutes are found by the daily comparison only; to find them at once,"
                f" run there: GRANT pg_read_all_stats TO {user}"
            )
        about = (self._where, int(str(version)), str(encoding), self._zone, str(user))
        return OldServer(*about, tuple(problems), tuple(warnings))

    def _table_problems(self, user: str) -> Iterator[str]:
        for table, needed in columns.NEEDED.items():
            found = {
                str(name): str(type_) for name, type_ in self._rows(_COLUMNS, {"table": table})
            }
            if not found:
                yield f"it has no table {table} that {user} can see; is it the old catalogue?"
                continue
            missing = sorted(needed.keys() - found.keys())
            if missing:
                yield f"{table} has no column {', '.join(missing)}; it is another schema"
            for name, types in needed.items():
                if name in found and found[name] not in types:
                    yield (
                        f"{table}.{name} is {found[name]}, not {' or '.join(sorted(types))};"
                        " it is another schema"
                    )
            if not self._one(_MAY_READ, {"table": table}):
                yield f"{user} may not read {table}; run there: GRANT SELECT ON {table} TO {user}"

    def estimate(self, table: str) -> int:
        """About how many rows a table has, as of its last ANALYZE.

        Without any, as after a restore, they are counted up to 100,000.
        """
        found = int(str(self._one(_ESTIMATE, {"table": table})))
        # Never analyzed is -1, and 0 before PostgreSQL 14.
        return found if found > 0 else int(str(self._one(_COUNT[table], {"most": _MOST_COUNTED})))

    def safe_point(self, overlap: timedelta) -> datetime:
        """All posts indexed before this are visible to statements that begin later."""
        found = self._one(_SAFE_POINT, {"overlap": overlap})
        assert isinstance(found, datetime)  # noqa: S101  # now() is never null
        return found

    def bounds(self) -> tuple[datetime, datetime] | None:
        """The first and the last indexed_at; None without posts."""
        ((first, last),) = self._rows(_BOUNDS)
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            return None
        return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)

    def count_since(self, at: datetime) -> int:
        """How many posts were indexed at or after ``at``."""
        return int(str(self._one(_WAITING, {"at": naive(at)})))

    def copy_chunk(
        self, after: tuple[datetime, str], until: datetime, most: int
    ) -> Iterator[bytes]:
        """COPY the next posts after (indexed_at, id), in this order, as `columns.POSTS`."""
        at, last_id = after
        values = {"at": naive(at), "id": last_id, "until": naive(until), "most": most}
        return self._copy(_CHUNK, values)

    def tail(self, since: datetime) -> list[str]:
        """The ids of the posts that were indexed at or after ``since``."""
        return [str(post_id) for (post_id,) in self._rows(_TAIL, {"since": naive(since)})]

    def copy_posts(self, ids: Sequence[str]) -> Iterator[bytes]:
        """COPY posts by id."""
        return self._copy(_POSTS_BY_ID, {"ids": list(ids)})

    def copy_undated(self) -> Iterator[bytes]:
        """COPY the posts without a usable indexed_at."""
        return self._copy(_UNDATED, {})

    def last_creator(self, after: str, most: int) -> str | None:
        """The id of the last of the next ``most`` creators; None when there are no more."""
        found = self._one(_LAST_CREATOR, {"id": after, "most": most})
        return None if found is None else str(found)

    def copy_creators_between(self, after: str, last: str) -> Iterator[bytes]:
        """COPY the creators after an id up to another one, as `columns.CREATORS`."""
        return self._copy(_CREATORS, {"id": after, "last": last})

    def copy_creators(self, ids: Sequence[str]) -> Iterator[bytes]:
        """COPY creators by id."""
        return self._copy(_CREATORS_BY_ID, {"ids": list(ids)})

    def digest(self, part: Part) -> Digest:
        """The digest of a part."""
        total = columns.CREATORS_SUM if part == CREATORS else columns.POSTS_SUM
        rows, values = _part_rows(part)
        ((count, digest),) = self._rows(f"SELECT count(*), {total} FROM ({rows}) AS r", values)
        return Digest(int(str(count)), int(str(digest)))

    def posts_of(self, part: Part) -> list[tuple[object, ...]]:
        """The posts of a part, as `columns.POSTS`."""
        rows, values = _part_rows(part)
        return self._rows(f"{rows} ORDER BY p.indexed_at, p.id", values)

    def row_digests(self, part: Part) -> dict[str, str]:
        """The digest of each row of a part, by id."""
        one = columns.CREATOR_DIGEST if part == CREATORS else columns.POST_DIGEST
        rows, values = _part_rows(part)
        found = self._rows(f"SELECT r.id, {one} FROM ({rows}) AS r", values)
        return {str(row_id): str(digest) for row_id, digest in found}

    def read(self, statement: str, values: Mapping[str, object]) -> list[tuple[object, ...]]:
        """The rows of a statement of another room, in a transaction of its own.

        Raises:
            TimedOutError: it takes longer than the session's time-outs allow.
        """
        return self._rows(statement, values)

    def _one(self, statement: str, values: Mapping[str, object] | None = None) -> object:
        ((value,),) = self._rows(statement, values)
        return value

    def _rows(
        self, statement: str, values: Mapping[str, object] | None = None
    ) -> list[tuple[object, ...]]:
        with old_errors(self._where), self._connection.transaction():
            return self._connection.execute(_query(statement), values).fetchall()

    def _copy(self, statement: str, values: Mapping[str, object]) -> Iterator[bytes]:
        copy = _query(f"COPY ({statement}) TO STDOUT")
        with (
            old_errors(self._where),
            self._connection.transaction(),
            self._connection.cursor() as cursor,
            cursor.copy(copy, values) as blocks,
        ):
            for block in blocks:
                yield bytes(block)


def _query(statement: str) -> sql.SQL:
    return sql.SQL(statement)


def _part_rows(part: Part) -> tuple[str, dict[str, object]]:
    if part == CREATORS:
        return columns.OLD_CREATORS, {}
    if part.since is None or part.until is None:
        return _UNDATED, {}
    return _DAY, {"since": naive(part.since), "until": naive(part.until)}


def naive(at: datetime) -> str:
    """A time as the old columns have it: UTC without zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


@contextmanager
def old_catalog(url: str, limits: Mapping[str, str] | None = None) -> Iterator[OldCatalog]:
    """Connect to the old catalogue for as long as the block lasts.

    ``limits`` are settings of the session, such as ``statement_timeout``.

    Raises:
        UnavailableError: it cannot be reached, or refuses the user.
        SetupError: it is older than our statements need.
    """
    connection, where = connect(url, limits or {})
    with connection:
        # Behind a pooler the next transaction may run in another session.
        connection.prepare_threshold = None
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with old_errors(where):
            zone = connection.execute("SELECT current_setting('TimeZone')").fetchone()
            connection.execute("SET TimeZone = 'UTC'")
            connection.commit()
        yield OldCatalog(connection, where, str(zone[0]) if zone else "unknown")

"""Reading the text of posts in bulk: a binary COPY, in chunks of bounded size."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.storage.catalog.blocklist import is_excluded
from sorafeed_assets.storage.catalog.match_rule import matches_sql
from sorafeed_assets.storage.postgres.copy import driver_of

_Item = TypeVar("_Item")

_CHUNK_BYTES: Final = 16 * 2**20
# Signature, flags and the length (zero) of the header extension.
_HEADER_BYTES: Final = 19
# Offsets of fields in a row: a count of fields, then each field after its length.
_HASH, _POSTED, _SHAPE, _ID_LENGTH, _ID = 6, 18, 30, 32, 36

# Fixed widths first; lower() is Postgres's own, so that matching agrees with ILIKE. An excluded
# post counts as one without text.
_DAY: Final = sql.SQL(
    """
COPY (
    SELECT id_hash,
           posted_at,
           CASE size_class WHEN 'wide' THEN 0 WHEN 'tall' THEN 1 ELSE 2 END::int2,
           id,
           CASE WHEN EXCLUDED THEN '' ELSE coalesce(lower(text), '') END
    FROM sora_posts
    WHERE indexed_at >= {first} AND indexed_at < {end}
) TO STDOUT (FORMAT binary)
""".replace("EXCLUDED", is_excluded("id", "creator_id"))
)


# In place of the text: the catalog day, always of the same length.
_MATCHING: Final = sql.SQL("""
COPY (
    SELECT id_hash,
           posted_at,
           CASE size_class WHEN 'wide' THEN 0 WHEN 'tall' THEN 1 ELSE 2 END::int2,
           id,
           to_char(catalog_day(indexed_at), 'YYYY-MM-DD')
    FROM sora_posts
    WHERE {matches}
) TO STDOUT (FORMAT binary)
""")
_DAY_BYTES: Final = len("2000-01-01")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some posts: their lower-cased texts in ``data``, and an array for each column.

    ``posted_at`` is in microseconds since 2000-01-01 UTC, ``shapes`` number the size classes.
    """

    data: bytes
    starts: Rows
    ends: Rows
    id_starts: Rows
    hashes: Rows
    posted_at: Rows
    shapes: Rows

    def __len__(self) -> int:
        return len(self.starts)

    def post_id(self, row: int) -> str:
        """The id of one row's post."""
        return self.data[int(self.id_starts[row]) : int(self.starts[row]) - 4].decode()

    def days(self) -> tuple[list[date], Rows]:
        """The catalog days in chunks of `stream_matches`, and the number of each row's day."""
        cells = np.frombuffer(self.data, dtype=np.uint8)
        written = np.ascontiguousarray(cells[self.starts[:, None] + np.arange(_DAY_BYTES)])
        days, numbers = np.unique(written.view(f"S{_DAY_BYTES}")[:, 0], return_inverse=True)
        return [date.fromisoformat(day.decode()) for day in days.tolist()], numbers


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """The first moment of a catalog day, and of the next."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first, first + timedelta(days=1)


def read_ahead(items: Generator[_Item, None, None]) -> Generator[_Item, None, None]:
    """Yield the same items; a thread reads the next one while the caller processes the last.

    Only the thread may use the generator's resources, such as a connection, until the end.
    """
    nothing = object()

    def make() -> object:
        return next(items, nothing)

    with closing(items), ThreadPoolExecutor(1) as thread:
        coming = thread.submit(make)
        while (item := coming.result()) is not nothing:
            coming = thread.submit(make)
            yield item  # type: ignore[misc]  # not the end mark, so one of the items


def stream_day(connection: Connection, day: date) -> Generator[Chunk, None, None]:
    """The posts of one catalog day, in no order."""
    first, end = day_bounds(day)
    yield from _stream(connection, _DAY.format(first=sql.Literal(first), end=sql.Literal(end)))


def stream_matches(connection: Connection, query: SearchQuery) -> Generator[Chunk, None, None]:
    """The posts that match, in no order, by the search index; with days in place of texts."""
    yield from _stream(connection, _MATCHING.format(matches=matches_sql(query)))


def _stream(connection: Connection, statement: sql.Composed) -> Generator[Chunk, None, None]:
    rows: list[bytes] = []
    size, is_first = 0, True
    with driver_of(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for message in copy:
            row = bytes(message)
            if is_first:
                row, is_first = row[_HEADER_BYTES:], False
            if len(row) <= 2:  # the trailer
                continue
            rows.append(row)
            size += len(row)
            if size >= _CHUNK_BYTES:
                yield _decode(rows)
                rows, size = [], 0
    if rows:
        yield _decode(rows)


def _decode(rows: list[bytes]) -> Chunk:
    data = b"".join(rows)
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    begins = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))
    cells = np.frombuffer(data, dtype=np.uint8)
    id_lengths = _integers(cells, begins + _ID_LENGTH, ">i4")
    return Chunk(
        data=data,
        starts=begins + _ID + id_lengths + 4,
        ends=ends,
        id_starts=begins + _ID,
        hashes=_integers(cells, begins + _HASH, ">i8"),
        posted_at=_integers(cells, begins + _POSTED, ">i8"),
        shapes=_integers(cells, begins + _SHAPE, ">i2"),
    )


def _integers(cells: NDArray[np.uint8], offsets: Rows, kind: str) -> Rows:
    width = np.dtype(kind).itemsize
    picked = np.ascontiguousarray(cells[offsets[:, None] + np.arange(width)])
    return picked.view(kind)[:, 0].astype(np.int64)

"""Pages of the posts that match a search, in order, each found by the cheapest of three ways.

Frequent matches are found by walking the order's index. Rarer ones are searched for by their
trigrams: within a slice of the order that should have enough of them, or everywhere. Nothing is
sorted at random and no row is skipped: a page continues after the last row of the page before.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.storage.catalog.match_rule import MATCHES
from sorafeed_assets.storage.catalog.matches import Match, MatchQuery, search_parameters

_MATCHES: Final = f"{MATCHES} AND (:format = 'mixed' OR size_class = :format)"


@dataclass(frozen=True, slots=True)
class _Order:
    """The order of one fetch mode, as SQL.

    Attributes:
        by: the ORDER BY expression.
        opposite: its reverse.
        after: the condition for rows after a place.
        slice: the number of the finest slice that a post is in, which grows along the order.
        position: the slice number with its fraction, for estimates.
        slices: the number at which these slices start in the search index.
        end: the query for the slice after the last post.
    """

    by: str
    opposite: str
    after: str
    slice: str
    position: str
    slices: int
    end: str


# A slice of the newest is a day; of the random order, which is that of a hash, a 256th.
_ORDERS: Final = {
    FetchMode.NEWEST: _Order(
        by="posted_at DESC, id DESC",
        opposite="posted_at, id",
        after="(posted_at, id) < (CAST(:after AS timestamptz), :after_id)",
        slice="date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date",
        position="extract(epoch FROM timestamptz '2100-01-01 00:00+00' - posted_at) / 86400",
        slices=20,
        end="SELECT date '2099-12-31' - (min(posted_at) AT TIME ZONE 'UTC')::date + 1"
        " FROM sora_posts",
    ),
    FetchMode.RANDOM: _Order(
        by="id_hash, id",
        opposite="id_hash DESC, id DESC",
        after="(id_hash, id) > (:after, :after_id)",
        slice="id_hash >> 56",
        position="id_hash / 72057594037927936.0",
        slices=0,
        end="SELECT 128",
    ),
}

# The matches among the next posts in order, and the last post, matching or not.
_WALK: Final = {
    mode: f"""
WITH walked AS MATERIALIZED (
    SELECT id, id_hash, posted_at, {order.slice} AS slice, {order.position} AS position,
        ({_MATCHES}) IS TRUE AS is_match
    FROM sora_posts WHERE {order.after} ORDER BY {order.by} LIMIT :entries
), ends AS (
    SELECT count(*) AS entries, max(position) - min(position) AS covered FROM walked
)
(SELECT entries, covered, slice, false AS is_last, id, id_hash, CAST(posted_at AS text) AS moment
 FROM walked, ends WHERE is_match ORDER BY {order.by})
UNION ALL
(SELECT entries, covered, slice, true, id, id_hash, CAST(posted_at AS text)
 FROM walked, ends ORDER BY {order.opposite} LIMIT 1)
"""
    for mode, order in _ORDERS.items()
}

# All matches by the trigram index, then the first of them. Without OFFSET 0 the planner
# would walk an ordered index through the whole catalogue for a rare term.
_FOUND: Final = """
SELECT id, id_hash, CAST(posted_at AS text) AS moment
FROM (SELECT id, id_hash, posted_at FROM sora_posts WHERE {where} OFFSET 0) AS found
WHERE {order.after} ORDER BY {order.by} LIMIT :size
"""
_EVERYWHERE: Final = {
    mode: _FOUND.format(order=order, where=_MATCHES) for mode, order in _ORDERS.items()
}
_IN_SLICE: Final = {
    mode: _FOUND.format(
        order=order,
        where=f"{_MATCHES} AND search_slices(id_hash, posted_at) @> ARRAY[CAST(:slice AS bigint)]",
    )
    for mode, order in _ORDERS.items()
}

_AMONG: Final = {
    mode: f"""
SELECT id, id_hash, CAST(posted_at AS text) AS moment
FROM sora_posts WHERE id = ANY(CAST(:ids AS text[])) AND {_MATCHES} ORDER BY {order.by}
"""
    for mode, order in _ORDERS.items()
}

# The first walk, which shows how frequent matches are.
FIRST_LOOK: Final = 2_000
"""How many posts are looked at first, where it is not known how frequent matches are."""
# Walking over more posts than this costs more than a search.
_LONGEST_WALK: Final = 20_000
# A slice that is expected to have just enough matches would fall short half the time.
_SPARE: Final = 1.25
# Slices are 1, 2, 4 ... 128 positions wide, and numbered from here on, see search_slices().
_WIDEST: Final = 7
_NUMBERED: Final = 1_000_000_000
# Two searches of slices of this share of the rest cost more than one of the whole rest.
_LARGEST_SHARE: Final = 0.4


def read_page(
    connection: Connection,
    query: MatchQuery,
    size: int,
    after: Match | None = None,
    *,
    look: int = FIRST_LOOK,
) -> list[Match]:
    """The next ``size`` matches after ``after`` in the catalogue; fewer means that these are all.

    The first ``look`` posts are looked at one by one, which is enough where matches are frequent.
    Newest: by (posted_at, id) descending; random: by (id_hash, id), for the caller to shuffle.
    """
    page = _Page(connection, query, size, _place(query, after))
    if not page.walk(look):
        page.search()
    return page.matches[:size]


class _Page:
    """One page while it is read; ``covered`` is how much of the order was read so far."""

    def __init__(
        self, connection: Connection, query: MatchQuery, size: int, place: dict[str, object]
    ) -> None:
        self._connection = connection
        self._query = query
        self._mode = query.fetch_mode
        self._size = size
        self._place = place
        self._slice = 0
        self._covered = 0.0
        self.matches: list[Match] = []

    def walk(self, look: int) -> bool:
        """Read posts in order, ``look`` of them first; returns whether that completed the page."""
        walked, entries = 0, max(look, self._size)
        while True:
            rows = self._ask(_WALK[self._mode], entries=entries)
            self.matches += [Match(*row[4:]) for row in rows if not row.is_last]
            last = next((row for row in rows if row.is_last), None)
            if last is None or last.entries < entries or self._missing <= 0:
                return True
            walked += entries
            self._place = _place(self._query, Match(*last[4:]))
            self._slice = last.slice
            self._covered += float(last.covered)
            if walked < FIRST_LOOK:  # too few to know how frequent matches are
                entries = FIRST_LOOK
                continue
            if self._missing * walked > _LONGEST_WALK * len(self.matches):
                return False
            entries = ceil(self._missing * walked / len(self.matches)) + FIRST_LOOK

    def search(self) -> None:
        """Search slices, each as wide as the estimate requires, or the whole rest at once."""
        order = _ORDERS[self._mode]
        end = self._connection.execute(text(order.end)).scalar_one()
        while self._missing > 0:
            left = end - self._slice
            found = len(self.matches)
            width = _SPARE * self._missing * self._covered / found if found else left
            level = max(0, ceil(log2(width))) if width > 0 else 0
            if level > _WIDEST or 2**level >= _LARGEST_SHARE * left:
                rows = self._ask(_EVERYWHERE[self._mode], size=self._missing)
                self.matches += [Match(*row) for row in rows]
                return
            number = self._slice >> level
            of_level = (order.slices + level) * _NUMBERED + number
            rows = self._ask(_IN_SLICE[self._mode], size=self._missing, slice=of_level)
            self.matches += [Match(*row) for row in rows]
            if rows:
                self._place = _place(self._query, self.matches[-1])
            following = (number + 1) << level
            self._covered += following - self._slice
            self._slice = following

    @property
    def _missing(self) -> int:
        return self._size - len(self.matches)

    def _ask(self, statement: str, **values: object) -> Any:
        parameters = {**search_parameters(self._query), **self._place, **values}
        return self._connection.execute(text(statement), parameters).all()


def read_among(connection: Connection, query: MatchQuery, post_ids: Collection[str]) -> list[Match]:
    """Those of ``post_ids`` that match, in the order of `read_page`."""
    parameters = {**search_parameters(query), "ids": sorted(post_ids)}
    return [Match(*row) for row in connection.execute(text(_AMONG[query.fetch_mode]), parameters)]


def _place(query: MatchQuery, after: Match | None) -> dict[str, object]:
    if query.fetch_mode is FetchMode.NEWEST:
        if after is None:
            return {"after": "infinity", "after_id": ""}
        return {"after": after.posted_at, "after_id": after.post_id}
    if after is None:
        return {"after": -(2**63), "after_id": ""}
    return {"after": after.id_hash, "after_id": after.post_id}

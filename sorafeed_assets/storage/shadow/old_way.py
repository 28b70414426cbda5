"""The queries of the old system on its own catalogue, as it sends them, bounded to one state.

Its patterns are not escaped, as there. The bounds are added: both sides look at the posts that
were indexed before one moment. Each statement is measured, and paid for by the caller's budget.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.posts import Row
from sorafeed_assets.storage.legacy.columns import IS_DATED
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog, naive

# The catalog day that a post has here.
_DAY: Final = (
    f"CASE WHEN {IS_DATED} THEN CAST(p.indexed_at AS date) ELSE CAST('1970-01-01' AS date) END"
)
_MATCHES: Final = """
p.text ILIKE %(phrase)s AND p.text NOT ILIKE ALL (CAST(%(exclusions)s AS text[])) AND p.id <> ''
"""
_FORMATS: Final = {
    Format.MIXED: "",
    Format.WIDE: "AND p.width > p.height",
    Format.TALL: "AND p.height > p.width",
}
_BEFORE: Final = """
AND (p.indexed_at >= CAST(%(until)s AS timestamp) AND p.indexed_at < '2100-01-01') IS NOT TRUE
"""
_ON_DAYS: Final = f"{_BEFORE} AND {_DAY} <> ALL (CAST(%(without)s AS date[]))"
# Sizes are asked for where videos are fetched, not where they are counted.
_PLAYABLE: Final = "AND p.width > 0 AND p.height > 0"
_COUNT: Final = {
    format_: f"SELECT count(*) FROM sora_posts AS p WHERE {_MATCHES} {size} {_ON_DAYS}"
    for format_, size in _FORMATS.items()
}
_COUNT_BY_DAY: Final = {
    format_: f"""
SELECT {_DAY} AS day, count(*) FROM sora_posts AS p
WHERE {_MATCHES} {size} {_ON_DAYS} GROUP BY 1
"""
    for format_, size in _FORMATS.items()
}
_IDS_OF_DAY: Final = {
    format_: f"""
SELECT p.id FROM sora_posts AS p
WHERE {_MATCHES} {size} {_BEFORE} AND {_DAY} = %(day)s ORDER BY 1 LIMIT %(most)s
"""
    for format_, size in _FORMATS.items()
}
_COUNT_BEFORE: Final = {
    format_: f"SELECT count(*) FROM sora_posts AS p WHERE {_MATCHES} {size} {_BEFORE}"
    for format_, size in _FORMATS.items()
}
_NEWEST: Final = {
    format_: f"""
SELECT p.id FROM sora_posts AS p LEFT JOIN creators AS c ON c.id = p.creator_id
WHERE {_MATCHES} {size} {_PLAYABLE} {_BEFORE} AND NOT (p.id = ANY (%(used)s))
ORDER BY p.posted_at DESC LIMIT %(size)s
"""
    for format_, size in _FORMATS.items()
}
_AT_OFFSET: Final = {
    format_: f"""
SELECT p.id, p.width > 0 AND p.height > 0
FROM sora_posts AS p LEFT JOIN creators AS c ON c.id = p.creator_id
WHERE {_MATCHES} {size} {_BEFORE}
ORDER BY p.posted_at DESC LIMIT 1 OFFSET %(offset)s
"""
    for format_, size in _FORMATS.items()
}
_ROWS: Final = """
SELECT p.id, p.text, p.posted_at, p.width, p.height FROM sora_posts AS p WHERE p.id = ANY (%(ids)s)
"""


@dataclass(slots=True)
class OldWay:
    """The old system's queries over the posts indexed before ``until``.

    Every method raises TimedOutError when a statement takes longer than it may.

    Attributes:
        old: the connection.
        until: the bound of what is played.
        spend: called with the seconds of each statement.
        begin: called before each statement; what it raises is raised.
        cost: what all statements took since it was last set.
    """

    old: OldCatalog
    until: datetime
    spend: Callable[[float], None]
    begin: Callable[[], None] = lambda: None
    cost: Cost = field(default=Cost(0.0, 0))

    def count(self, query: SearchQuery, format_: Format) -> int:
        """How many posts match; those without a size too."""
        values = {**_search(query), "until": naive(self.until)}
        return _number(self._read(_COUNT_BEFORE[format_], values)[0][0])

    def count_on_days(
        self, query: SearchQuery, format_: Format, until: datetime, without: Collection[date]
    ) -> int:
        """How many posts indexed before ``until`` match, some catalog days left out."""
        values = {**_search(query), "until": naive(until), "without": list(without)}
        return _number(self._read(_COUNT[format_], values)[0][0])

    def count_by_day(
        self, query: SearchQuery, format_: Format, until: datetime, without: Collection[date]
    ) -> dict[date, int]:
        """The same by catalog day; a day without a match is missing."""
        values = {**_search(query), "until": naive(until), "without": list(without)}
        rows = self._read(_COUNT_BY_DAY[format_], values)
        return {day: _number(count) for day, count in rows if isinstance(day, date)}

    def ids_of_day(
        self, query: SearchQuery, format_: Format, day: date, until: datetime, most: int
    ) -> list[str]:
        """The matches of a catalog day that were indexed before ``until``, ``most`` at most."""
        values = {**_search(query), "day": day, "until": naive(until), "most": most}
        return [str(post_id) for (post_id,) in self._read(_IDS_OF_DAY[format_], values)]

    def newest(
        self, query: SearchQuery, format_: Format, size: int, used: Collection[str]
    ) -> list[str]:
        """The newest matches with a size that are not used."""
        values = {
            **_search(query),
            "until": naive(self.until),
            "used": list(used),
            "size": size,
        }
        return [str(post_id) for (post_id,) in self._read(_NEWEST[format_], values)]

    def at_offset(self, query: SearchQuery, format_: Format, offset: int) -> str | None:
        """The match at an offset of the newest order; None past the last, or without a size."""
        values = {**_search(query), "until": naive(self.until), "offset": offset}
        found = self._read(_AT_OFFSET[format_], values)
        return str(found[0][0]) if found and found[0][1] else None

    def rows(self, ids: Collection[str]) -> dict[str, Row]:
        """Posts by id; unknown ones are missing."""
        rows = self._read(_ROWS, {"ids": list(ids)})
        return {
            str(post_id): Row(
                None if words is None else str(words), _number(at), _size(width), _size(height)
            )
            for post_id, words, at, width, height in rows
        }

    def _read(self, statement: str, values: Mapping[str, object]) -> Sequence[tuple[object, ...]]:
        self.begin()
        began = time.monotonic()
        try:
            return self.old.read(statement, values)
        finally:
            seconds = time.monotonic() - began
            self.cost = Cost(self.cost.seconds + seconds, self.cost.statements + 1)
            self.spend(seconds)


def _search(query: SearchQuery) -> dict[str, object]:
    return {
        "phrase": f"%{query.phrase}%",
        "exclusions": [f"%{word}%" for word in query.exclusions],
    }


def _number(value: object) -> int:
    return int(str(value))


def _size(value: object) -> int | None:
    return value if isinstance(value, int) else None

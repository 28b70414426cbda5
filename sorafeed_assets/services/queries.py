"""Reads of the API: displays, playlists, blocks, plays and terms as records, by page or batch."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import Connection, Engine, Row

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.paging import PageList, check_first
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.domain.playlists.tags import check_tag
from sorafeed_assets.domain.text import check_storable
from sorafeed_assets.services.cursors import entry_key, moment_in, time_cursor, time_key
from sorafeed_assets.services.playlists.deleting import Deletion, list_deletions
from sorafeed_assets.services.records import (
    BlockRecord,
    BuildRecord,
    CountedBlock,
    DisplayJson,
    DisplayRecord,
    Page,
    PlaylistRecord,
    PostRecord,
    TermRecord,
    term_of,
)
from sorafeed_assets.services.timelines.excluding import list_blocklist
from sorafeed_assets.services.timelines.history import (
    EVERY_PLAY,
    PlayFilter,
    PlayRecord,
    read_plays,
)
from sorafeed_assets.storage import lists as stored
from sorafeed_assets.storage.catalog.blocklist import Entry
from sorafeed_assets.storage.catalog.matches import Match, MatchQuery
from sorafeed_assets.storage.catalog.pages import read_page
from sorafeed_assets.storage.display_json import TOTAL_MARK, Field
from sorafeed_assets.storage.lists import DisplayOrder
from sorafeed_assets.storage.playlists.tags import tag_counts

_MAX_SEARCH: Final = 200

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class _AskedPage:
    """A request for a page of displays: the checked search, and the sort key to continue after."""

    order: DisplayOrder
    search: str | None
    key: Sequence[object] | None
    listed: PageList

    @classmethod
    def of_arguments(
        cls, order: DisplayOrder, search: str | None, first: int, after: str | None
    ) -> "_AskedPage":
        check_first(first)
        search = _checked_search(search)
        of = PageList("displays", order, search)
        kinds: tuple[type[str], ...] = (str,) if order is DisplayOrder.CODE else (str, str)
        key: Sequence[object] | None = None if after is None else of.key(after, *kinds)
        if key is not None and order is DisplayOrder.NEWEST:
            key = (moment_in(str(key[0])), key[1])
        return cls(order, search, key, of)

    def cursor(self, display: DisplayRecord | DisplayJson) -> str:
        if self.order is DisplayOrder.CODE:
            return self.listed.cursor([display.id])
        is_by_name = self.order is DisplayOrder.NAME
        return self.listed.cursor(
            [display.name if is_by_name else str(display.created_at), display.id]
        )


class Queries:
    """The reads. A method makes a fixed number of queries, however many ids it gets."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def display_page(
        self,
        order: DisplayOrder,
        search: str | None,
        first: int,
        after: str | None,
        tag: str | None = None,
    ) -> Page[DisplayRecord]:
        """A page of displays, or of those with a tag."""
        asked = _AskedPage.of_arguments(order, search, first, after)
        if tag is not None:
            tag = check_tag(tag, "tag")
        with self._engine.connect() as connection:
            codes = stored.display_page(connection, order, asked.search, asked.key, first + 1, tag)
            rows = stored.load_displays(connection, codes[:first])
        records = {record.id: record for record in _records(DisplayRecord, rows)}
        there = [records[code] for code in codes[:first] if code in records]
        listed = [(asked.cursor(record), record) for record in there]
        return Page(listed, len(codes) > first, after is not None)

    def display_json_page(
        self,
        shapes: Sequence[tuple[Field, ...]],
        order: DisplayOrder,
        search: str | None,
        first: int,
        after: str | None,
    ) -> Page[DisplayJson]:
        """A page of displays as JSON, in each of ``shapes``.

        It takes one statement, and a second for totals of searches that are not in normalized form.
        """
        asked = _AskedPage.of_arguments(order, search, first, after)
        with self._engine.connect() as connection:
            rows = stored.display_json_page(
                connection, shapes, order, asked.search, asked.key, first + 1
            )
            found = [
                DisplayJson(row.id, row.name, row.created_at, tuple(row[3:]))
                for row in rows[:first]
            ]
            texts = _with_totals(connection, [text for each in found for text in each.texts])
        listed = [
            (
                asked.cursor(each),
                each._replace(texts=tuple(texts[len(shapes) * n : len(shapes) * (n + 1)])),
            )
            for n, each in enumerate(found)
        ]
        return Page(listed, len(rows) > first, after is not None)

    def tags(self) -> dict[str, int]:
        """Every tag, in order, and how many displays have it."""
        with self._engine.connect() as connection:
            return tag_counts(connection)

    def count_displays(self) -> int:
        """How many displays there are."""
        with self._engine.connect() as connection:
            return stored.count_displays(connection)

    def displays(self, ids: Collection[str] | None = None) -> dict[str, DisplayRecord]:
        """Displays by code, in order; all without ids."""
        with self._engine.connect() as connection:
            rows = stored.load_displays(connection, ids)
        return {record.id: record for record in _records(DisplayRecord, rows)}

    def playlists(self, ids: Collection[UUID]) -> dict[UUID, PlaylistRecord]:
        """Playlists by id."""
        with self._engine.connect() as connection:
            rows = stored.load_playlists(connection, ids)
        return {record.id: record for record in _records(PlaylistRecord, rows)}

    def playlists_of(
        self, display_ids: Collection[str], first: int, after: str | None = None
    ) -> dict[str, Page[PlaylistRecord]]:
        """A page of playlists of each display, the newest first."""
        lists = {display_id: PageList("playlists", display_id) for display_id in display_ids}
        # A cursor belongs to the list of one display.
        key = stored.FIRST_PAGE
        if after is not None:
            if len(lists) != 1:
                raise InvalidInputError(
                    "after", "belongs to the list of one display; ask for that display alone"
                )
            key = time_key(next(iter(lists.values())), after)
        with self._engine.connect() as connection:
            rows = stored.playlists_of(connection, display_ids, check_first(first) + 1, key)
        found: dict[str, list[PlaylistRecord]] = {display_id: [] for display_id in display_ids}
        for record in _records(PlaylistRecord, rows):
            found[record.display_id].append(record)
        return {
            display_id: Page(
                [(time_cursor(lists[display_id], r.created_at, r.id), r) for r in records[:first]],
                len(records) > first,
                after is not None,
            )
            for display_id, records in found.items()
        }

    def blocks(self, playlist_ids: Collection[UUID]) -> dict[UUID, list[BlockRecord]]:
        """The blocks of playlists, in order."""
        found: dict[UUID, list[BlockRecord]] = {playlist_id: [] for playlist_id in playlist_ids}
        with self._engine.connect() as connection:
            for record in _records(BlockRecord, stored.blocks_of(connection, playlist_ids)):
                found[record.playlist_id].append(record)
        return found

    def counted_blocks(self, playlist_ids: Collection[UUID]) -> dict[UUID, list[CountedBlock]]:
        """The blocks of playlists with their counts, in order; three queries."""
        found = self.blocks(playlist_ids)
        blocks = [block for each in found.values() for block in each]
        totals = self.totals({block.term for block in blocks if block.term})
        seen = self.seen([block.id for block in blocks])
        return {
            playlist_id: [
                CountedBlock(
                    block, totals.get((block.term or "", block.format)), seen.get(block.id, 0)
                )
                for block in each
            ]
            for playlist_id, each in found.items()
        }

    def seen(self, block_ids: Collection[UUID]) -> dict[UUID, int]:
        """How many different videos of each block its display has shown."""
        with self._engine.connect() as connection:
            return stored.seen_of(connection, block_ids)

    def totals(self, terms: Collection[str]) -> dict[tuple[str, str], int]:
        """(term, format) → how many posts match."""
        with self._engine.connect() as connection:
            return stored.totals_of(connection, terms)

    def plays(
        self, display_id: str, first: int, after: str | None, wanted: PlayFilter = EVERY_PLAY
    ) -> Page[PlayRecord]:
        """A page of a display's plays, the latest first."""
        of = PageList("plays", display_id, *(str(part) for part in wanted if part is not None))
        key = stored.FIRST_PAGE if after is None else time_key(of, after)
        records = read_plays(self._engine, display_id, check_first(first) + 1, key, wanted)
        listed = [(time_cursor(of, play.played_at, play.id), play) for play in records[:first]]
        return Page(listed, len(records) > first, after is not None)

    def deletions(self, display_id: str | None, first: int, after: str | None) -> Page[Deletion]:
        """A page of what can be restored, of one display or all, the latest first."""
        of = PageList("deletions", display_id)
        key = stored.FIRST_PAGE if after is None else time_key(of, after)
        found = list_deletions(self._engine, display_id, check_first(first) + 1, key)
        listed = [(time_cursor(of, each.deleted_at, each.id), each) for each in found[:first]]
        return Page(listed, len(found) > first, after is not None)

    def blocklist(self, first: int, after: str | None) -> Page[Entry]:
        """A page of the blocklist, the latest first."""
        of = PageList("blocklist")
        found = list_blocklist(self._engine, check_first(first) + 1, entry_key(of, after))
        listed = [
            (of.cursor([each.excluded_at.isoformat(), each.kind.value, each.target_id]), each)
            for each in found[:first]
        ]
        return Page(listed, len(found) > first, after is not None)

    def builds(self, display_ids: Collection[str]) -> dict[str, list[BuildRecord]]:
        """The builds that are kept of each display, the newest first."""
        found: dict[str, list[BuildRecord]] = {display_id: [] for display_id in display_ids}
        with self._engine.connect() as connection:
            for row in stored.builds_of(connection, display_ids):
                found[row["display_id"]].append(BuildRecord(**row))
        return found

    def terms(self, search: str | None, first: int, after: str | None) -> Page[TermRecord]:
        """A page of tracked terms, in order."""
        search = _checked_search(search)
        of = PageList("terms", search)
        start = "" if after is None else str(of.key(after, str)[0])
        with self._engine.connect() as connection:
            rows = stored.terms_page(connection, search or "", start, check_first(first) + 1)
        records = [TermRecord(**row) for row in rows]
        listed = [(of.cursor([record.term]), record) for record in records[:first]]
        return Page(listed, len(records) > first, after is not None)

    def posts(self, ids: Collection[str]) -> dict[str, PostRecord]:
        """Posts by id."""
        with self._engine.connect() as connection:
            found = stored.load_posts(connection, ids)
        return {post_id: PostRecord(**row) for post_id, row in found.items()}

    def matching_posts(
        self, search: str, format_: Format, first: int, after: str | None
    ) -> Page[PostRecord]:
        """A page of the posts that match a search, the newest first."""
        query = parse_query(search, "search")
        of = PageList("posts", query.term, format_)
        start = None
        if after is not None:
            posted_at, post_id = of.key(after, str, str)
            start = Match(str(post_id), 0, moment_in(str(posted_at)).isoformat())
        asked = MatchQuery(query, format_, FetchMode.NEWEST)
        with self._engine.connect() as connection:
            matches = read_page(connection, asked, check_first(first) + 1, start)
            found = stored.load_posts(connection, [match.post_id for match in matches[:first]])
        listed = [
            (of.cursor([match.posted_at, match.post_id]), PostRecord(**found[match.post_id]))
            for match in matches[:first]
            if match.post_id in found
        ]
        return Page(listed, len(matches) > first, after is not None)


def _with_totals(connection: Connection, texts: Sequence[str]) -> list[str]:
    """Replace the marks in JSON texts by the totals that they ask for."""
    parts = [text.split(TOTAL_MARK) for text in texts]
    # Every second part was enclosed in marks.
    missing = {part: orjson.loads(part) for split in parts for part in split[1::2]}
    if not missing:
        return list(texts)
    terms = {part: term_of(search) for part, (search, _, _) in missing.items()}
    totals = stored.totals_of(connection, {term for term in terms.values() if term})
    found: dict[str, str] = {}
    for part, (_, format_, seen) in missing.items():
        total = totals.get((terms[part] or "", format_))
        found[part] = "null" if total is None else str(max(0, total - (seen or 0)))
    return [
        "".join(found[part] if at % 2 else part for at, part in enumerate(split)) for split in parts
    ]


def _records(kind: Callable[..., _Record], rows: Sequence[Row[Any]]) -> list[_Record]:
    """Rows as records, which have the fields in the order of the columns."""
    return [kind(*row) for row in rows]


def _checked_search(search: str | None) -> str | None:
    if search is None or not search.strip():
        return None
    check_storable(search, "search")
    if len(search) > _MAX_SEARCH:
        raise InvalidInputError("search", f"has over {_MAX_SEARCH} characters; write fewer")
    return search.strip()

"""The old system's way of filling a playlist, as it is known, over any catalogue.

Its writes are left out. It picks at random, so it is run with several seeds.
"""

import random
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode

TRIES: Final = 3
"""How often a random video is tried before it is left out."""


class OldCatalogue(Protocol):
    """The queries that the old system sends."""

    def count(self, query: SearchQuery, format_: Format) -> int:
        """How many posts match; those without a size too."""

    def newest(
        self, query: SearchQuery, format_: Format, size: int, used: Collection[str]
    ) -> Sequence[str]:
        """The newest matches that are not used."""

    def at_offset(self, query: SearchQuery, format_: Format, offset: int) -> str | None:
        """The match at an offset of the newest order; None past the last one."""


class Stage(StrEnum):
    """At which attempt a video was found."""

    FIRST = "first"
    NO_EXCLUSIONS = "no exclusions"
    CLEARED = "history cleared"
    REPEATED = "repeated"


class OldPick(NamedTuple):
    """A position of an old timeline."""

    block_id: UUID
    post_id: str
    stage: Stage


class OldRun(NamedTuple):
    """One loop, and the blocks that were filled after the history was cleared."""

    picks: tuple[OldPick, ...]
    after_clearing: frozenset[UUID]


class OldTimeline:
    """Fills a playlist once, block by block."""

    def __init__(self, catalogue: OldCatalogue, played: Iterable[str], rng: random.Random) -> None:
        self._catalogue = catalogue
        self._history = set(played)
        self._rng = rng
        self._picks: list[OldPick] = []
        self._is_cleared = False

    def fill(self, blocks: Sequence[Block]) -> OldRun:
        """The picks of all blocks."""
        after_clearing = set()
        for block in blocks:
            if self._is_cleared:
                after_clearing.add(block.id)
            self._fill(block)
        return OldRun(tuple(self._picks), frozenset(after_clearing))

    def _fill(self, block: Block) -> None:
        query = block.query
        queued = [pick.post_id for pick in self._picks]
        found: list[str] = []

        def attempt(stage: Stage, asked: SearchQuery, used: Collection[str]) -> None:
            missing = block.video_count - len(found)
            if missing > 0:
                new = self._find(block, asked, missing, {*used, *found})
                found.extend(new)
                self._picks.extend(OldPick(block.id, post, stage) for post in new)

        attempt(Stage.FIRST, query, {*self._history, *queued})
        if query.exclusions:
            plain = SearchQuery(query.phrase)
            attempt(Stage.NO_EXCLUSIONS, plain, {*self._history, *queued})
        if len(found) < block.video_count:
            self._history.clear()
            self._is_cleared = True
            attempt(Stage.CLEARED, query, ())
        if found:
            self._picks.extend(
                OldPick(block.id, found[turn % len(found)], Stage.REPEATED)
                for turn in range(block.video_count - len(found))
            )

    def _find(
        self, block: Block, query: SearchQuery, size: int, used: Collection[str]
    ) -> Sequence[str]:
        if block.fetch_mode is FetchMode.NEWEST:
            return self._catalogue.newest(query, block.format, size, used)
        matching = self._catalogue.count(query, block.format)
        if not matching:
            return []
        taken = set(used)
        found: list[str] = []
        for _ in range(size):
            for _ in range(TRIES):
                offset = self._rng.randrange(matching)
                post = self._catalogue.at_offset(query, block.format, offset)
                if post is not None and post not in taken:
                    taken.add(post)
                    found.append(post)
                    break
        return found

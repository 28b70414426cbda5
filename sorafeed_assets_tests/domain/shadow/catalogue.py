"""A small old catalogue in memory, and both sides' plans of it."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, matches, size_class
from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.shadow.old_way import OldTimeline
from sorafeed_assets.domain.shadow.posts import Post, Row, old_matches, sizeless
from sorafeed_assets.domain.shadow.timelines import Sides
from sorafeed_assets.domain.timelines.plan import Candidates, Start, plan_schedule
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Posts by id; the old system's queries over those that are there."""

    posts: Mapping[str, Post]

    def _found(self, query: SearchQuery, format_: Format) -> list[str]:
        rows = [(post.id, post.there) for post in self.posts.values() if post.there is not None]
        found = [
            (row.posted_at, post_id)
            for post_id, row in rows
            if old_matches(query, row.text) and fits(format_, row)
        ]
        return [post_id for _, post_id in sorted(found, key=lambda each: -each[0])]

    def count(self, query: SearchQuery, format_: Format) -> int:
        return len(self._found(query, format_))

    def newest(
        self, query: SearchQuery, format_: Format, size: int, used: Collection[str]
    ) -> Sequence[str]:
        found = self._found(query, format_)
        return [p for p in found if p not in used and not sizeless(self.posts[p])][:size]

    def at_offset(self, query: SearchQuery, format_: Format, offset: int) -> str | None:
        found = self._found(query, format_)
        post = found[offset] if offset < len(found) else None
        return None if post is None or sizeless(self.posts[post]) else post

    def here(self, block: Block) -> list[str]:
        """What we pick from, the newest first."""
        found = [
            (row.posted_at, post.id)
            for post in self.posts.values()
            if (row := post.here) is not None
            and matches(block.query, row.text)
            and fits(block.format, row)
        ]
        return [post_id for _, post_id in sorted(found, reverse=True)]


def chance(seed: int) -> random.Random:
    """The choice of one run."""
    return random.Random(seed)  # noqa: S311  # the old way's choice, not a secret


def fits(format_: Format, row: Row) -> bool:
    """Whether a format takes a post."""
    return format_ is Format.MIXED or size_class(row.width, row.height) == format_.value


def both_sides(
    catalogue: Catalogue, blocks: Sequence[Block], plays: Mapping[str, int], seeds: Sequence[int]
) -> Sides:
    """Plan on both sides."""
    result = plan_schedule(
        blocks,
        lambda block, _loop: Candidates(tuple(catalogue.here(block)), complete=True),
        plays,
        max(plays.values(), default=0),
        Start(),
        1,
        IN_ORDER,
    )
    runs = [OldTimeline(catalogue, plays, chance(seed)).fill(blocks) for seed in seeds]
    loops = result.schedule.loops
    picks = loops[0].picks if loops else ()
    return Sides(picks, runs, result.inputs[0], frozenset(plays), catalogue.posts)


def post(
    name: str,
    text: str = "tea",
    at: int = 1_000,
    size: tuple[int | None, int | None] = (640, 352),
) -> Post:
    """A post that both sides have."""
    known = at if 0 < at < 4_102_444_800 else 0
    width, height = (None if side is not None and side <= 0 else side for side in size)
    return Post(name, Row(text, at, *size), Row(text, known, width, height))

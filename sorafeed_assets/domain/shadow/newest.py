"""Comparing the blocks of newest videos, which both sides pick in one order."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.shadow.outcome import Reason, Rule
from sorafeed_assets.domain.shadow.posts import Post, unknown_time, why_played_once


@dataclass(frozen=True, slots=True)
class NewestBlock:
    """What both sides pick of the matches that were not played before.

    Attributes:
        query: the search.
        ours: our picks, in order.
        old: the old system's picks of its first attempt, in order.
        used_here: what our earlier blocks play.
        used_there: what the old system's earlier blocks play.
        replayed: what was played before, if the history there was cleared in an earlier block.
        posts: the posts of both, by id.
        name: the block in words.
    """

    query: SearchQuery
    ours: Sequence[str]
    old: Sequence[str]
    used_here: Set[str]
    used_there: Set[str]
    replayed: Set[str]
    posts: Mapping[str, Post]
    name: str


def compare_newest(block: NewestBlock) -> list[Reason]:
    """The differences of a block: posts that one side leaves out, and a different order."""
    mine = [post for post in block.ours if post not in set(block.old)]
    theirs = [post for post in block.old if post not in set(block.ours)]
    why_mine = {post: _why(block, post, block.used_there) for post in mine}
    why_theirs = {
        post: Rule.HISTORY_CLEARED if post in block.replayed else _why(block, post, block.used_here)
        for post in theirs
    }
    _pair_same_times(block, why_mine, why_theirs)
    both = [post for post in block.ours if post in set(block.old)]
    # Where one side has a post more, the last one of the other side has no place.
    displaced = {
        *_displaced(block, both, why_mine, sum(r is not None for r in why_theirs.values())),
        *_displaced(block, both, why_theirs, sum(r is not None for r in why_mine.values())),
    }
    reasons = [
        Reason(rule, f"{block.name}: only {side} plays {post}")
        for side, found in (("this system", why_mine), ("the old system", why_theirs))
        for post, rule in found.items()
        if post not in displaced
    ]
    return [*reasons, *_order(block, both)]


def _why(block: NewestBlock, post: str, used_by_other: Set[str]) -> Rule | None:
    if post in used_by_other:
        return Rule.USED_EARLIER
    return why_played_once(block.query, block.posts[post])


def _pair_same_times(
    block: NewestBlock, mine: dict[str, Rule | None], theirs: dict[str, Rule | None]
) -> None:
    """Explain posts of one second, of which each side plays another one."""
    waiting = [post for post, rule in theirs.items() if rule is None]
    for post, rule in mine.items():
        if rule is not None:
            continue
        other = next((each for each in waiting if _same_time(block, post, each)), None)
        if other is not None:
            waiting.remove(other)
            mine[post] = theirs[other] = Rule.SAME_TIME


def _same_time(block: NewestBlock, one: str, other: str) -> bool:
    first, second = block.posts[one].there, block.posts[other].there
    return first is not None and second is not None and first.posted_at == second.posted_at


def _displaced(
    block: NewestBlock, both: Sequence[str], why: Mapping[str, Rule | None], extra: int
) -> list[str]:
    """The oldest unexplained picks, as many as the other side has explained ones more.

    None of them is newer than a post that both sides play.
    """
    times = [_time(block, post) for post in both]
    oldest = min((time for time in times if time is not None), default=None)
    waiting = [
        post
        for post, rule in why.items()
        if rule is None and (oldest is None or (_time(block, post) or 0) <= oldest)
    ]
    return waiting[len(waiting) - extra :] if extra < len(waiting) else waiting


def _time(block: NewestBlock, post: str) -> int | None:
    """When a post was posted, if both sides know."""
    found = block.posts[post]
    return None if found.there is None or unknown_time(found) else found.there.posted_at


def _order(block: NewestBlock, both: Sequence[str]) -> list[Reason]:
    places = {post: place for place, post in enumerate(block.old)}
    reasons = []
    for one, other in pairwise(both):
        if places[one] < places[other]:
            continue
        if any(unknown_time(block.posts[post]) for post in (one, other)):
            rule: Rule | None = Rule.UNKNOWN_TIME
        else:
            rule = Rule.SAME_TIME if _same_time(block, one, other) else None
        reasons.append(Reason(rule, f"{block.name}: {other} is played before {one} there"))
    return reasons

"""Why a post is counted or played by one side only: one pure function for each named rule."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sorafeed_assets.domain.catalog.search import SearchQuery, matches
from sorafeed_assets.domain.shadow.outcome import Rule

_WILDCARDS: Final = re.compile(r"[%_\\]")
_LATEST: Final = 4_102_444_800


@dataclass(frozen=True, slots=True)
class Row:
    """A post as one side has it; ``posted_at`` in Unix seconds, as that side orders by it.

    Only this side excludes posts.
    """

    text: str | None
    posted_at: int
    width: int | None
    height: int | None
    is_excluded: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """A post on both sides; None where it does not exist."""

    id: str
    there: Row | None
    here: Row | None


def old_matches(query: SearchQuery, text: str | None) -> bool:
    """Whether the old system's predicate finds a text, in a locale that folds all letters."""
    if text is None:
        return False
    return bool(_like(query.phrase).fullmatch(text)) and not any(
        _like(word).fullmatch(text) for word in query.exclusions
    )


@lru_cache(maxsize=1024)
def _like(words: str) -> re.Pattern[str]:
    """ILIKE '%words%' without escaping, as a pattern."""
    parts = []
    escaped = False
    for letter in f"%{words}%":
        if escaped:
            parts.append(re.escape(letter))
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(letter) or re.escape(letter))
    return re.compile("".join(parts), re.DOTALL | re.IGNORECASE)


def wildcard(query: SearchQuery, post: Post) -> bool:
    """Whether a wildcard in the search makes the two predicates differ about a post."""
    if not any(_WILDCARDS.search(words) for words in (query.phrase, *query.exclusions)):
        return False
    row = post.there or post.here
    return row is not None and matches(query, row.text) != old_matches(query, row.text)


def letter_case(query: SearchQuery, post: Post) -> bool:
    """Whether a post matches only when letters beyond ASCII are folded, and is the same there."""
    if post.there is None or post.here is None or post.there.text != post.here.text:
        return False
    text = post.here.text or ""
    return matches(query, text) != _matches_in_ascii(query, text)


def _matches_in_ascii(query: SearchQuery, text: str) -> bool:
    folded = _ascii_lower(text)
    return query.phrase in folded and not any(word in folded for word in query.exclusions)


def _ascii_lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def only_here(post: Post) -> bool:
    """Whether the old catalogue does not have a post that is here."""
    return post.there is None and post.here is not None


def excluded(post: Post) -> bool:
    """Whether the blocklist of this side excludes a post."""
    return post.here is not None and post.here.is_excluded


def sizeless(post: Post) -> bool:
    """Whether a post has no size there, so that it is never played there."""
    row = post.there
    return row is not None and (not row.width or not row.height or min(row.width, row.height) < 0)


def unknown_time(post: Post) -> bool:
    """Whether a post's time there is no time that both sides order by."""
    return post.there is not None and not 0 < post.there.posted_at < _LATEST


def exclusion_dropped(query: SearchQuery, post: Post) -> bool:
    """Whether a post matches only without the excluded words."""
    row = post.there or post.here
    if row is None or matches(query, row.text):
        return False
    return matches(SearchQuery(query.phrase), row.text)


def why_counted_once(query: SearchQuery, post: Post) -> Rule | None:
    """The rule by which only one side counts a post."""
    if only_here(post):
        return Rule.ONLY_HERE
    if excluded(post):
        return Rule.BLOCKLIST
    if wildcard(query, post):
        return Rule.WILDCARD
    return Rule.LETTER_CASE if letter_case(query, post) else None


def why_played_once(query: SearchQuery, post: Post) -> Rule | None:
    """The rule by which only one side plays a post that was not played before."""
    counted = why_counted_once(query, post)
    if counted is not None:
        return counted
    if sizeless(post):
        return Rule.SIZELESS_POST
    if unknown_time(post):
        return Rule.UNKNOWN_TIME
    return None

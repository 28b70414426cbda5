"""Finding posts by words, and which displays play them: for the page Posts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.blocklist import Kind, Target
from sorafeed_assets.domain.catalog.search import (
    MAX_QUERY_LENGTH,
    Format,
    SearchQuery,
    matches,
    parse_query,
)
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import Block, Playlist
from sorafeed_assets.storage.catalog.blocklist import listed_among
from sorafeed_assets.storage.catalog.word_search import Post, find_by_words, has_words
from sorafeed_assets.storage.playlists.rows import load_active_playlists
from sorafeed_assets.storage.timelines.queues import load_queued_on

MOST: Final = 30
"""How many posts are found at most."""


@dataclass(frozen=True, slots=True)
class MatchingBlock:
    """A search of active playlists that a post matches, and the displays that have it."""

    search_term: str
    format: Format
    displays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundPost:
    """A post, the blocks that match it, and the displays that have it in their queue now.

    ``excluded`` is what of it is on the blocklist: the post, its creator, or both. Then no block
    plays it.
    """

    post: Post
    blocks: tuple[MatchingBlock, ...]
    queued_on: tuple[str, ...]
    excluded: tuple[Target, ...] = ()


def find_posts(engine: Engine, words: str) -> list[FoundPost]:
    """The newest `MOST` posts that have the words, and where they play.

    ``words`` are as people type them: ``"a phrase"``, ``or``, ``-without``.

    Raises:
        InvalidInputError: there is no word to search for, or too much text.
    """
    if len(words) > MAX_QUERY_LENGTH or "\x00" in words:
        raise InvalidInputError("words", f"at most {MAX_QUERY_LENGTH} characters of text")
    with engine.connect() as connection:
        if not has_words(connection, words):
            raise InvalidInputError("words", "write at least one word to search for")
        posts = find_by_words(connection, words, MOST)
        queued = load_queued_on(connection, [post.id for post in posts])
        searches = _searches(connection)
        creators = {post.creator_id for post in posts if post.creator_id is not None}
        listed = listed_among(connection, [post.id for post in posts], creators)
    return [
        FoundPost(
            post,
            _matching(post, searches),
            tuple(queued.get(post.id, ())),
            tuple(target for target in _targets(post) if target in listed),
        )
        for post in posts
    ]


def _targets(post: Post) -> tuple[Target, ...]:
    """What the blocklist may have of a post."""
    creator = () if post.creator_id is None else (Target(Kind.CREATOR, post.creator_id),)
    return (Target(Kind.POST, post.id), *creator)


def _searches(connection: Connection) -> Mapping[tuple[SearchQuery, Format], Sequence[str]]:
    """What active playlists search for, and the displays that do; each search is parsed once."""
    displays: dict[tuple[SearchQuery, Format], dict[str, None]] = defaultdict(dict)
    for display, playlist in sorted(load_active_playlists(connection).items()):
        for block in _usable(playlist):
            displays[parse_query(block.search_term), block.format][display] = None
    return {search: tuple(names) for search, names in displays.items()}


def _usable(playlist: Playlist) -> list[Block]:
    """The blocks whose search can be parsed; only plain SQL can write others."""
    usable = []
    for block in playlist.blocks:
        try:
            parse_query(block.search_term)
        except InvalidInputError:
            continue
        usable.append(block)
    return usable


def _matching(
    post: Post, searches: Mapping[tuple[SearchQuery, Format], Sequence[str]]
) -> tuple[MatchingBlock, ...]:
    return tuple(
        MatchingBlock(query.term, format_, tuple(displays))
        for (query, format_), displays in searches.items()
        if format_ in {Format.MIXED, post.size_class} and matches(query, post.text)
    )

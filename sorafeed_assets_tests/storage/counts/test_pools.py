"""Candidates of the parts of a catalogue, merged in any order, make the same pools."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.domain.counts.counting import SHAPES
from sorafeed_assets.domain.counts.pools import NEWEST, POOLS, RANDOM, PoolGatherer
from sorafeed_assets.storage.counts import pools

_TERM = "cat"


class _Post(NamedTuple):
    """A post that matches; a few values, so that many tie."""

    id: str
    shape: int
    posted_at: int
    id_hash: int


@st.composite
def _parts(draw: st.DrawFn) -> list[list[_Post]]:
    """Parts of a catalogue in any order; some posts are in two of them."""
    fields = st.tuples(st.integers(0, 2), st.integers(-2, 2), st.integers(-2, 2))
    posts = [_Post(f"p{n:02}", *each) for n, each in enumerate(draw(st.lists(fields, max_size=24)))]
    parts: list[list[_Post]] = [[] for _ in range(draw(st.integers(1, 4)))]
    for post in posts:
        for part in draw(st.sets(st.integers(0, len(parts) - 1), min_size=1, max_size=2)):
            parts[part].append(post)
    return draw(st.permutations(parts))


@settings(max_examples=40)
@given(_parts(), st.integers(1, 4), st.sampled_from(["bounded", "unbounded"]))
def test_the_order_of_parts_does_not_matter(
    session_engine: Engine, parts: list[list[_Post]], size: int, bounds: str
) -> None:
    with session_engine.connect() as connection:
        connection.execute(
            text("INSERT INTO search_terms (term, phrase) VALUES (:term, :term)"), {"term": _TERM}
        )
        for part in parts:
            _merge(connection, part, size, bounded=bounds == "bounded")
        found = {
            (shape.value, pool): pools.pool_posts(connection, pools.PoolKey(_TERM, shape, pool))
            for shape in SHAPES
            for pool in POOLS
        }
        connection.rollback()
    assert found == _first(set().union(*parts), size)


def _merge(connection: Connection, posts: Sequence[_Post], size: int, *, bounded: bool) -> None:
    """Gather posts and merge them into the pools, as a refresh does."""
    bounds = pools.pool_bounds(connection, size) if bounded else None
    gatherer = PoolGatherer([_TERM], size, bounds)
    columns = np.array([post[1:] for post in posts], dtype=np.int64).reshape(-1, 3).T
    gatherer.add(
        np.zeros(len(posts), dtype=np.int64),
        np.arange(len(posts)),
        shapes=columns[0],
        posted_at=columns[1],
        hashes=columns[2],
        ids=[post.id for post in posts].__getitem__,
    )
    pools.stage_candidates(connection, gatherer.candidates())
    pools.merge_staged(connection)
    pools.trim_pools(connection, size)


def _first(posts: set[_Post], size: int) -> dict[tuple[str, str], set[str]]:
    """The first posts of each pool, out of all of them."""
    newest = sorted(posts, key=lambda post: (post.posted_at, post.id), reverse=True)
    smallest = sorted(posts, key=lambda post: (post.id_hash, post.id))
    return {
        (shape.value, pool): {post.id for post in [p for p in ordered if p.shape == n][:size]}
        for n, shape in enumerate(SHAPES)
        for pool, ordered in ((NEWEST, newest), (RANDOM, smallest))
    }

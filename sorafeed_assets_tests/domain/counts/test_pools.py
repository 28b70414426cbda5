"""The gathered posts include the first K of each pool, in any order of offers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.counts import pools
from sorafeed_assets.domain.counts.counting import SHAPES
from sorafeed_assets.domain.counts.pools import NEWEST, RANDOM, PoolGatherer

_posts = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(-4, 4), st.integers(-4, 4)),
    max_size=30,
)


@settings(deadline=None)  # the first call compiles
@given(st.lists(_posts, max_size=4), st.integers(1, 4))
def test_the_first_k_and_all_that_tie(
    batches: list[list[tuple[int, int, int, int]]], size: int
) -> None:
    gatherer = PoolGatherer(["cat", "dog"], size)
    expected: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for number, batch in enumerate(batches):
        columns = np.array(batch, dtype=np.int64).reshape(-1, 4).T
        gatherer.add(
            columns[0],
            np.arange(len(batch)),
            shapes=columns[1],
            posted_at=columns[2],
            hashes=columns[3],
            ids=[f"{number}-{row}" for row in range(len(batch))].__getitem__,
        )
        list(gatherer.candidates())  # may be read in between
        for row, (term, shape, posted_at, id_hash) in enumerate(batch):
            for pool, order in ((NEWEST, -posted_at), (RANDOM, id_hash)):
                key = (("cat", "dog")[term], SHAPES[shape].value, pool)
                expected.setdefault(key, []).append((order, f"{number}-{row}"))
    digests = gatherer.digests()
    some = {key for key in digests if key[0] == "cat"}
    assert {candidate[:3] for candidate in gatherer.candidates(but=some)} == digests.keys() - some
    found: dict[tuple[str, str, str], set[str]] = {}
    for candidate in gatherer.candidates():
        found.setdefault(candidate[:3], set()).add(candidate.post_id)
    for key, posts in expected.items():
        limit = sorted(posts)[min(size, len(posts)) - 1][0]
        first = {post for order, post in posts if order <= limit}
        assert digests[key].posts == len(first)
        assert found.pop(key) == first
    assert found == {}


def test_what_is_beyond_a_bound_is_left_out() -> None:
    bounds = {("cat", "wide", NEWEST): 5, ("cat", "wide", RANDOM): 5, ("gone", "wide", NEWEST): 1}
    gatherer = PoolGatherer(["cat"], 10, bounds)
    values = np.array([4, 5, 6], dtype=np.int64)
    zeros = np.zeros(3, dtype=np.int64)
    gatherer.add(
        zeros, np.arange(3), shapes=zeros, posted_at=values, hashes=values, ids="abc".__getitem__
    )
    found = {(candidate.pool, candidate.post_id) for candidate in gatherer.candidates()}
    assert found == {(NEWEST, "b"), (NEWEST, "c"), (RANDOM, "a"), (RANDOM, "b")}
    assert pools.POOLS == (NEWEST, RANDOM)

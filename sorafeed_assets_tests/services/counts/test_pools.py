"""Pools in a recount of all days: only wrong ones are written."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor
from random import Random

import pytest
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.counts.pools import LOW_BITS, POOLS, Candidate
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.storage.counts import pools
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_posts

_SIZE = 20
_LOSE = """
DELETE FROM video_candidates
WHERE (term, size_class, pool) = ('cat', 'wide', 'newest') AND post_id LIKE '%3'
"""
_MOVE = """
WITH old AS (
    DELETE FROM video_candidates
    WHERE (term, size_class, pool) = ('video', 'tall', 'random') AND post_id LIKE '%4'
    RETURNING *
)
INSERT INTO video_candidates
SELECT term, size_class, pool, post_id, posted_at + interval '1 microsecond', id_hash FROM old
"""
_INVENT = """
INSERT INTO video_candidates (term, size_class, pool, post_id, posted_at, id_hash)
SELECT 'no such', size_class, pool, post_id, posted_at, id_hash
FROM video_candidates
WHERE (term, size_class, pool) = ('cat', 'tall', 'random') AND post_id LIKE '%5'
"""


def test_a_recount_writes_only_the_pools_that_were_wrong(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[Candidate] = []
    stage = pools.stage_candidates

    def keep(connection: Connection, candidates: Iterable[Candidate]) -> int:
        staged.extend(found := list(candidates))
        return stage(connection, found)

    monkeypatch.setattr(pools, "stage_candidates", keep)
    for term in ("cat", "no such", "video"):
        watch_term(engine, term)
    add_posts(engine, "cat video", 9)
    add_posts(engine, "cat video", 9, prefix="tall", size=(352, 640))
    refresh_days(engine, None, pool_size=_SIZE)
    staged.clear()
    assert refresh_days(engine, None, pool_size=_SIZE, recount=True).pools_changed == 0
    assert staged == []

    for spoil in (_LOSE, _MOVE, _INVENT):
        run(engine, spoil)
    samples = sample_pools(engine, seed=0, size=99, pool_size=_SIZE)
    assert any(not sample.is_equal for sample in samples)
    recount = refresh_days(engine, None, pool_size=_SIZE, recount=True)
    assert {candidate[:3] for candidate in staged} == {
        ("cat", "wide", "newest"),
        ("video", "tall", "random"),
    }
    assert recount.pools_changed == 3
    samples = sample_pools(engine, seed=0, size=99, pool_size=_SIZE)
    assert all(sample.is_equal for sample in samples)


def test_the_database_tells_pools_apart_as_gathering_does(engine: Engine) -> None:
    watch_term(engine, "video")
    add_posts(engine, "video", 5)
    run(engine, "UPDATE sora_posts SET posted_at = posted_at + interval '0.123457 seconds'")
    old = "UPDATE sora_posts SET posted_at = '1969-07-20 20:17:40.000001+00' WHERE id LIKE '%3'"
    run(engine, old)
    refresh_days(engine, None, pool_size=_SIZE)
    with engine.connect() as connection:
        stored = pools.pool_digests(connection)
    for pool in POOLS:
        rows = run(engine, "SELECT * FROM video_candidates WHERE pool = :pool", pool=pool)
        hashes = [row.id_hash for row in rows]
        moments = [
            (row.posted_at - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            for row in rows
        ]
        products = [
            (moment & LOW_BITS) * (value & LOW_BITS)
            for moment, value in zip(moments, hashes, strict=True)
        ]
        xors = [reduce(xor, column) for column in (hashes, moments, products)]
        assert stored["video", "wide", pool] == (5, *xors)


_CHANGES = (
    "DELETE FROM sora_posts WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET text = 'a bird' WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET text = 'cat video, again' WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET posted_at = now() - interval '400 days' WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET posted_at = '2026-01-01 00:00+00' WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET width = 7, height = 7 WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET indexed_at = indexed_at - interval '1 day' WHERE id = ANY(:ids)",
)


@pytest.mark.parametrize("seed", range(3))
def test_pools_that_lose_posts_hold_the_first_matches_again(engine: Engine, seed: int) -> None:
    random = Random(seed)  # noqa: S311  # to be repeated, not kept secret
    for term in ("cat", "video", "cat -again"):
        watch_term(engine, term)
    for shape, size in (("wide", (640, 352)), ("tall", (352, 640))):
        add_posts(engine, "cat video", 15, prefix=shape, size=size)
    refresh_days(engine, None, pool_size=4)
    for turn in range(20):
        ids = [row.id for row in run(engine, "SELECT id FROM sora_posts ORDER BY id")]
        for change in random.sample(_CHANGES, 2):
            run(engine, change, ids=random.sample(ids, 2))
        add_posts(engine, "cat video", random.randrange(1, 3), prefix=f"later{turn}")
        refresh_days(engine, None, pool_size=4)
        samples = sample_pools(engine, seed=0, size=99, pool_size=4)
        assert [sample for sample in samples if not sample.is_equal] == []

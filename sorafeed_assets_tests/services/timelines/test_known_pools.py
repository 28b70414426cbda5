"""Pools that were read before: those that changed are read again, the others are not."""

from random import Random

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.timelines.known_pools import KnownPools
from sorafeed_assets.storage.catalog.matches import MatchQuery, Pool, read_pools
from sorafeed_assets_tests.catalogue import add_posts, fill_pools, run

SIZE = 6
CHANGES = (
    "DELETE FROM sora_posts WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET text = 'about nothing' WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET posted_at = posted_at + interval '1 hour' WHERE id = ANY(:ids)",
    "UPDATE sora_posts SET width = 352, height = 640 WHERE id = ANY(:ids)",
)


def everything(*terms: str) -> list[MatchQuery]:
    return [
        MatchQuery(parse_query(term), format_, mode)
        for term in terms
        for format_ in Format
        for mode in FetchMode
    ]


@pytest.mark.parametrize("seed", range(3))
def test_known_pools_are_those_that_are_stored(engine: Engine, seed: int) -> None:
    random = Random(seed)  # noqa: S311  # to be repeated, not kept secret
    asked = everything("cats", "cats -again", "dogs", "unknown")
    for term in ("cats", "cats -again", "dogs"):
        watch_term(engine, term)
    add_posts(engine, "cats", 20)
    add_posts(engine, "dogs", 4, size=(352, 640))
    known, few = KnownPools(SIZE), KnownPools(SIZE, most=20)
    for turn in range(12):
        refresh_days(engine, None, pool_size=SIZE)
        with engine.connect() as connection:
            stored = read_pools(connection, asked, SIZE)
            for pools in (known.read(connection, asked), few.read(connection, asked)):
                assert {q: _values(pool) for q, pool in pools.items()} == {
                    q: _values(pool) for q, pool in stored.items()
                }
        assert stored.keys() == set(everything("cats", "cats -again", "dogs"))
        ids = [row.id for row in run(engine, "SELECT id FROM sora_posts ORDER BY id")]
        run(engine, random.choice(CHANGES), ids=random.sample(ids, 2))
        add_posts(engine, random.choice(["cats", "dogs"]), 1, start=100 + turn)


def _values(pool: Pool) -> object:
    return pool.version, pool.ids, pool.hashes.tolist(), pool.matching


def test_only_pools_that_changed_are_read_again(engine: Engine) -> None:
    add_posts(engine, "cats", 8)
    add_posts(engine, "dogs", 8)
    for term in ("cats", "dogs"):
        fill_pools(engine, term, SIZE)
    known = KnownPools(SIZE)
    with engine.connect() as connection:
        before = known.read(connection, everything("cats", "dogs"))
    run(engine, "DELETE FROM video_candidates WHERE term = 'dogs' AND post_id = 'dogs-0003'")
    with engine.connect() as connection:
        after = known.read(connection, everything("cats", "dogs"))
    for query, pool in after.items():
        is_same = pool.ids is before[query].ids
        changed = query.query.term == "dogs" and "dogs-0003" in before[query].ids
        assert is_same != changed
    assert any("dogs-0003" in pool.ids for pool in before.values())
    assert not any("dogs-0003" in pool.ids for pool in after.values())

"""A day's text comes in chunks of bounded size, however much there is."""

from datetime import date

from sqlalchemy import Engine

from sorafeed_assets.storage.catalog.stream import stream_day
from sorafeed_assets_tests.catalogue import run

CHUNK = 16 * 2**20
LENGTH = 10_000


def test_a_large_day_comes_in_bounded_chunks(engine: Engine) -> None:
    run(
        engine,
        "INSERT INTO sora_posts (id, text, posted_at, indexed_at)"
        " SELECT 'p' || n, repeat('A', :length), '2026-03-01+00', '2026-03-01 12:00+00'"
        " FROM generate_series(1, 4000) n",
        length=LENGTH,
    )
    with engine.connect() as connection:
        sizes = [
            (len(chunk), len(chunk.data)) for chunk in stream_day(connection, date(2026, 3, 1))
        ]
    assert sum(posts for posts, _ in sizes) == 4_000
    assert len(sizes) == 3
    assert max(size for _, size in sizes) < CHUNK + 2 * LENGTH

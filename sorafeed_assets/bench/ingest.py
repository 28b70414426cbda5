"""Inserting posts: what the outbox costs, and that no refresh, build or publish blocks it."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.bench.catalogue import Bench, new_posts, rewind
from sorafeed_assets.bench.counts import refresh_hour
from sorafeed_assets.bench.displays import clear_displays, make_displays, new_playlists, playlist_of
from sorafeed_assets.bench.measuring import Row, Target, alternate, row, seconds
from sorafeed_assets.demo.catalogue import Post
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.domain.batches import batched
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.storage.benchmarks import catalogue as sql
from sorafeed_assets.storage.catalog.bulk import copy_new
from sorafeed_assets.storage.postgres.tables import sora_posts

_BATCH: Final = 100
_BATCHES: Final = 150
_BUSY_BATCHES: Final = 60
_SEED: Final = 9_000
_DISPLAYS: Final = 50


@dataclass(frozen=True, slots=True)
class IngestCosts:
    """Seconds of an insert of 100 posts: with the outbox, without it, and under other load."""

    with_outbox: Sequence[float]
    without: Sequence[float]
    while_busy: Sequence[float]


def measure_ingest(bench: Bench, posts: int) -> IngestCosts:
    """Measure inserts with and without the triggers in turn, then under other load."""
    engine = bench.catalogue(posts)
    times, busy_times = bench.scale.times(_BATCHES), bench.scale.times(_BUSY_BATCHES)
    batches = _batches(2 * times + busy_times)
    try:
        with_outbox, without = alternate(
            lambda _n: _insert(engine, next(batches)),
            lambda _n: _insert(engine, next(batches), with_triggers=False),
            times,
        )
        bench.progress("Inserting", 1, 2)
        rewind(engine)
        with _busy(bench, engine):
            while_busy = [_insert(engine, next(batches)) for _ in range(busy_times)]
        bench.progress("Inserting", 2, 2)
    finally:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            sql.drop_index(connection)
        clear_displays(engine)
        rewind(engine)
    return IngestCosts(with_outbox, without, while_busy)


def _batches(count: int) -> Iterator[Sequence[Post]]:
    posts = list(new_posts(count * _BATCH, _SEED))
    return batched(posts, _BATCH)


def _insert(engine: Engine, posts: Sequence[Post], *, with_triggers: bool = True) -> float:
    def work(connection: Connection) -> None:
        copy_new(connection, sora_posts, Post._fields, posts)
        connection.commit()

    with engine.connect() as connection:
        sql.insert_impatiently(connection, with_triggers=with_triggers)
        return seconds(lambda: work(connection))


@contextmanager
def _busy(bench: Bench, engine: Engine) -> Iterator[None]:
    """Refresh counts, build an index and publish timelines, repeatedly, until the block ends."""
    stop = threading.Event()
    displays = make_displays(engine, min(_DISPLAYS, bench.scale.displays))
    terms = bench_terms(bench.scale.terms, bench.scale.seed)
    settler = Settler.of(engine, bench.redis, bench.settings)

    def publish() -> None:
        rng = random.Random(1)  # noqa: S311  # playlists, not secrets
        new_playlists(engine, {display: playlist_of(terms, rng) for display in displays})
        settler.settle(displays)

    def build() -> None:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            sql.build_index(connection)
            sql.drop_index(connection)

    def refresh() -> None:
        refresh_hour(engine, bench.redis, bench.settings)

    failures: list[BaseException] = []

    def repeat(work: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=repeat, args=(w,)) for w in (refresh, publish, build)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def ingest_rows(costs: IngestCosts) -> list[Row]:
    """The lines of the table about inserting."""
    return [
        row(
            "insert of 100 posts with the outbox, against without",
            "ms",
            [1000 * s for s in costs.with_outbox],
            Target(ratio_under=1.05),
            [1000 * s for s in costs.without],
        ),
        row(
            "insert of 100 posts while counts refresh, an index is built, timelines are published",
            "ms",
            [1000 * s for s in costs.while_busy],
            Target(),
            [1000 * s for s in costs.with_outbox],
        ),
    ]

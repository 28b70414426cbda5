"""All displays at once: rebuilt in one run, one of them edited, counts read from Redis."""

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.bench import current_way
from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import clear_displays, make_displays, new_playlists, playlist_of
from sorafeed_assets.bench.measuring import (
    Row,
    Target,
    WrongResultError,
    percentile_99,
    row,
    seconds,
)
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.services.cache.write import (
    check_timeline_cache,
    write_count_cache,
)
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import count_key, create_redis_client
from sorafeed_assets.storage.postgres.engine import create_database_engine

_FEW: Final = 10
_EDITS: Final = 60
_READS: Final = 5_000
_COUNT_QUERIES: Final = 30
_GIGABYTE: Final = 1e9


@dataclass(frozen=True, slots=True)
class FleetCosts:
    """Seconds for all displays, for one edit, for one read; GB of the rebuilding process."""

    displays: int
    edit: Sequence[float]
    edit_among_few: Sequence[float]
    rebuild: Sequence[float]
    memory: Sequence[float]
    read: Sequence[float]
    count_query: Sequence[float]


def rebuild_all(database_url: str, redis_url: str, settings: Settings) -> tuple[float, float]:
    """Activate, plan, publish and cache all displays: (seconds, peak gigabytes of this process).

    Runs in a process of its own, so that the memory is that of this work.
    """
    engine = create_database_engine(database_url, settings)
    redis = create_redis_client(redis_url)
    settler = Settler.of(engine, redis, settings)

    def work() -> None:
        for error in settler.settle(settler.all_displays()).failed.values():
            raise error

    try:
        return seconds(work), _peak_memory()
    finally:
        redis.close()
        engine.dispose()


def _peak_memory() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024 / _GIGABYTE


def measure_fleet(bench: Bench, posts: int) -> FleetCosts:
    """Run the benchmark on one catalogue."""
    engine = bench.catalogue(posts)
    terms = bench_terms(bench.scale.terms, bench.scale.seed)
    few = _measure_edits(bench, engine, make_displays(engine, _FEW), terms)
    displays = make_displays(engine, bench.scale.displays)
    rebuilt, memory = _measure_rebuild(bench, engine, displays, terms)
    edits = _measure_edits(bench, engine, displays, terms)
    reads, queries = _measure_reads(bench, engine, terms)
    clear_displays(engine)
    return FleetCosts(len(displays), edits, few, rebuilt, memory, reads, queries)


def _measure_edits(
    bench: Bench, engine: Engine, displays: Sequence[str], terms: Sequence[str]
) -> list[float]:
    """Seconds from one display's new playlist to its queue and snapshot, one after another."""
    settler = Settler.of(engine, bench.redis, bench.settings)
    rng = random.Random(bench.scale.seed)  # noqa: S311  # playlists, not secrets
    new_playlists(engine, {display: playlist_of(terms, rng) for display in displays})
    settler.settle(displays)
    taken = []
    for number in range(bench.scale.times(_EDITS) + 1):
        display = displays[number % _FEW]
        new_playlists(engine, {display: playlist_of(terms, rng)})
        taken.append(seconds(lambda: settler.settle([display])))  # noqa: B023  # called at once
        bench.progress(f"Editing one of {len(displays)}", number + 1, bench.scale.times(_EDITS) + 1)
    return taken[1:]  # the first one opens the connections


def _measure_rebuild(
    bench: Bench, engine: Engine, displays: Sequence[str], terms: Sequence[str]
) -> tuple[list[float], list[float]]:
    rebuilt, memory = [], []
    url = engine.url.render_as_string(hide_password=False)
    for number in range(bench.scale.rounds):
        rng = random.Random(number)  # noqa: S311  # playlists, not secrets
        new_playlists(engine, {display: playlist_of(terms, rng) for display in displays})
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            took, peak = pool.submit(rebuild_all, url, bench.redis_url, bench.settings).result()
        rebuilt.append(took)
        memory.append(peak)
        bench.progress("Rebuilding all displays", number + 1, bench.scale.rounds)
    problems = {
        **check_queues(engine, displays, window=bench.settings.window),
        **check_plans(engine, displays),
        **{k: v for k, v in check_timeline_cache(engine, bench.redis, displays).items() if v},
    }
    if problems:
        raise WrongResultError(f"the displays are not as planned: {problems}")
    return rebuilt, memory


def _measure_reads(
    bench: Bench, engine: Engine, terms: Sequence[str]
) -> tuple[list[float], list[float]]:
    redis = bench.redis
    write_count_cache(engine, redis, ttl=bench.settings.cache_ttl_seconds)
    keys = [(term, format_) for term in terms for format_ in Format]
    reads = []
    for number in range(bench.scale.times(_READS)):
        term, format_ = keys[number % len(keys)]
        key = count_key(term, format_)
        reads.append(seconds(lambda: redis.get(key)))  # noqa: B023  # called at once
    queries = []
    with engine.connect() as connection:
        for term, format_ in keys[:: max(1, len(keys) // bench.scale.times(_COUNT_QUERIES))]:
            found: list[int] = []
            queries.append(
                seconds(
                    lambda: found.append(current_way.count(connection, parse_query(term), format_))  # noqa: B023  # called at once
                )
            )
            if redis.get(count_key(term, format_)) != str(found[0]):
                raise WrongResultError(f"the cached count of {term!r} differs from {found[0]}")
    bench.progress("Reading the cache", 1, 1)
    return reads, queries


def fleet_rows(costs: FleetCosts) -> list[Row]:
    """The lines of the table about all displays."""
    name = f"{costs.displays:,} displays"
    return [
        row(
            f"one edited playlist among {name}, against among {_FEW}",
            "ms",
            [1000 * s for s in costs.edit],
            Target(ratio_under=1.2),
            [1000 * s for s in costs.edit_among_few],
        ),
        row(
            f"{name} rebuilt, published, cached",
            "s",
            costs.rebuild,
            Target(ours_under=10.0 * costs.displays / 1000),
        ),
        row(f"{name} rebuilt: peak memory", "GB", costs.memory, Target(ours_under=1)),
        row(
            "cached count, 99th percentile, against the count query",
            "ms",
            [1000 * s for s in costs.read],
            Target(ours_under=1),
            [1000 * s for s in costs.count_query],
            ours_is=percentile_99,
        ),
    ]

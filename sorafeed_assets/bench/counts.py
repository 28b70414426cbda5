"""Counting: the hourly refresh, the full recount, more terms, a larger catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.bench import current_way
from sorafeed_assets.bench.catalogue import Bench, add_posts, rewind
from sorafeed_assets.bench.measuring import (
    Row,
    Target,
    WrongResultError,
    alternate,
    row,
    seconds,
)
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.services.cache.write import write_admin_snapshot, write_count_cache
from sorafeed_assets.services.counts.pools import refresh_candidates, sample_pools
from sorafeed_assets.services.counts.reads import counted_days, counts_versions, term_totals
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.catalog.stream import stream_day

_SAMPLED_TERMS: Final = 5
_SAMPLED_SHARE: Final = 20


@dataclass(frozen=True, slots=True)
class CountCosts:
    """Seconds at one catalogue size.

    The parts in ``current`` add up to all counts; ``current_sample`` has repetitions of
    a few of them, which show how much the rest may vary.
    """

    posts: int
    hourly: Sequence[float]
    current: Sequence[float]
    current_sample: Sequence[float]
    recount: Sequence[float]
    stream: Sequence[float]

    @property
    def current_total(self) -> float:
        """Seconds of all counts of the current system, once."""
        return sum(self.current)


def refresh_hour(engine: Engine, redis: Redis, settings: Settings) -> None:
    """Do what the hourly schedule does: counts, totals, pools, caches."""
    refresh_days(engine, None, pool_size=settings.candidates_per_pool)
    refresh_totals(engine)
    refresh_candidates(engine, pool_size=settings.candidates_per_pool)
    write_count_cache(engine, redis, ttl=settings.cache_ttl_seconds)
    write_admin_snapshot(engine, redis, ttl=settings.cache_ttl_seconds)


def measure_counts(bench: Bench, posts: int) -> CountCosts:
    """Measure counting at one size, ours and the current way in turn."""
    engine = bench.catalogue(posts)
    recount, stream = _measure_recount(bench, engine)
    hourly, current, sample = _measure_hourly(bench, engine)
    return CountCosts(posts, hourly, current, sample, recount, stream)


def _measure_recount(bench: Bench, engine: Engine) -> tuple[list[float], list[float]]:
    days = counted_days(engine)
    before = counts_versions(engine, days)

    def recount(_number: int) -> float:
        return seconds(lambda: _recount(bench, engine))

    def stream(_number: int) -> float:
        return seconds(lambda: _stream(engine))

    stream(0)  # warms the table for both
    measured = alternate(recount, stream, max(2, bench.scale.rounds - 1))
    if counts_versions(engine, days) != before:
        raise WrongResultError("counting from scratch gives different counts than before")
    return measured


def _recount(bench: Bench, engine: Engine) -> None:
    refresh_days(
        engine,
        None,
        pool_size=bench.settings.candidates_per_pool,
        recount=True,
        on_progress=lambda done, total: bench.progress("Recounting days", done, total),
    )


def _stream(engine: Engine) -> None:
    """Read the lower-cased text without matching, as the recount does."""
    with engine.connect() as connection:
        for day in counted_days(engine):
            for _chunk in stream_day(connection, day):
                pass


def _measure_hourly(bench: Bench, engine: Engine) -> tuple[list[float], list[float], list[float]]:
    rounds = bench.scale.rounds
    wanted = [
        (term, format_)
        for term in bench_terms(bench.scale.terms, bench.scale.seed)
        for format_ in Format
    ]
    # Every part has terms of all kinds and all formats.
    parts = [[key for i, key in enumerate(wanted) if i // 3 % rounds == n] for n in range(rounds)]

    def hour(number: int) -> float:
        add_posts(engine, bench.scale.new_posts, 1_000 + number)
        return seconds(lambda: refresh_hour(engine, bench.redis, bench.settings))

    def current(number: int) -> float:
        return _count_current(bench, engine, parts[number % rounds])

    hour(rounds)  # the first refresh after a change of terms also writes new terms
    hourly, currents = alternate(hour, current, rounds)
    sample = [_count_current(bench, engine, wanted[::_SAMPLED_SHARE]) for _ in range(rounds)]
    _check_pools(bench, engine)
    rewind(engine)
    return hourly, currents, sample


def _count_current(bench: Bench, engine: Engine, keys: Sequence[tuple[str, Format]]) -> float:
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        bench.progress("Counting the current way", done, len(keys))

    found: dict[tuple[str, str], int] = {}
    took = seconds(lambda: found.update(current_way.count_all(engine, keys, tell)))
    totals = term_totals(engine)
    wrong = {key: (totals.get(key), n) for key, n in found.items() if totals.get(key) != n}
    if wrong:
        raise WrongResultError(f"counts differ, as (ours, theirs): {wrong}")
    return took


def _check_pools(bench: Bench, engine: Engine) -> None:
    sampled = sample_pools(
        engine, seed=1, size=_SAMPLED_TERMS, pool_size=bench.settings.candidates_per_pool
    )
    wrong = [pool for pool in sampled if not pool.is_equal]
    if wrong:
        raise WrongResultError(f"pools differ from direct queries: {wrong}")


def measure_more_terms(bench: Bench, posts: int) -> list[float]:
    """Seconds of full recounts with ten times the terms."""
    engine = bench.catalogue(posts)
    few = bench_terms(bench.scale.terms, bench.scale.seed)
    many = dict.fromkeys([*few, *bench_terms(10 * len(few), bench.scale.seed)])
    bench.track(engine, list(many)[: 10 * len(few)])
    taken = [seconds(lambda: _recount(bench, engine)) for _ in range(2)]
    bench.track(engine, few)
    return taken


def counts_rows(costs: CountCosts, smaller: CountCosts, more_terms: Sequence[float]) -> list[Row]:
    """The lines of the table about counting."""
    current = [costs.current_total]
    return [
        row("hourly refresh, against all counts", "s", costs.hourly, Target(at_least=200), current),
        row(
            f"hourly refresh, {costs.posts:,} posts against {smaller.posts:,}",
            "s",
            costs.hourly,
            Target(ratio_under=1.2),
            smaller.hourly,
        ),
        row("full recount, against all counts", "s", costs.recount, Target(at_least=5), current),
        row(
            "full recount, against only streaming the text",
            "s",
            costs.recount,
            Target(ratio_under=1.5),
            costs.stream,
        ),
        row(
            "full recount of 10 times the terms, against the terms",
            "s",
            more_terms,
            Target(ratio_under=1.6),
            costs.recount,
        ),
        row(
            "current way: one in 20 of the counts, repeated",
            "s",
            costs.current_sample,
            Target(),
        ),
    ]

"""One display: the first timeline of new terms, and a rebuild from pools that are warm."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.bench import catalogue, current_way
from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import clear_displays, make_displays, new_playlists, playlist_of
from sorafeed_assets.bench.measuring import (
    Row,
    Target,
    WrongResultError,
    alternate,
    percentile_99,
    row,
    seconds,
)
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.storage.benchmarks import displays as sql

_NEW_TERMS_SEED: Final = 7_000
_COLD_ROUNDS: Final = 30
_WARM_ROUNDS: Final = 30
_PLAYING_DISPLAYS: Final = 20
_FEW_PLAYS: Final = 100
_MANY_PLAYS: Final = 50_000
_PLAYING_ROUNDS: Final = 30


@dataclass(frozen=True, slots=True)
class TimelineCosts:
    """Seconds for one display at one catalogue size."""

    posts: int
    cold: Sequence[float]
    cold_current: Sequence[float]
    warm: Sequence[float]
    warm_current: Sequence[float]


@dataclass(frozen=True, slots=True)
class PlayedCosts:
    """Seconds to plan some displays again, after few and after many plays of each."""

    displays: int
    few_plays: int
    many_plays: int
    few: Sequence[float]
    many: Sequence[float]


def measure_timelines(bench: Bench, posts: int) -> TimelineCosts:
    """Measure both kinds of timeline, ours and the current way in turn.

    Ours is measured more often, so that its 99th percentile is meaningful.
    """
    engine = bench.catalogue(posts)
    [display] = make_displays(engine, 1)
    catalogue.warm(engine)
    cold, cold_current = _measure(bench, engine, display, "First timelines", _new_terms(bench))
    known = [term for term in bench_terms(bench.scale.terms, bench.scale.seed) if " -" not in term]
    warm, warm_current = _measure(
        bench, engine, display, "Timelines from pools", [known] * bench.scale.times(_WARM_ROUNDS)
    )
    return TimelineCosts(posts, cold, cold_current, warm, warm_current)


def measure_played(bench: Bench, posts: int) -> PlayedCosts:
    """Measure displays with a long history of plays and with a short one, in turn."""
    engine = bench.catalogue(posts)
    settler = Settler.of(engine, bench.redis, bench.settings)
    count = bench.scale.times(_PLAYING_DISPLAYS)
    few_plays, many_plays = bench.scale.times(_FEW_PLAYS), bench.scale.times(_MANY_PLAYS)
    displays = make_displays(engine, 2 * count)
    few, many = displays[:count], displays[count:]
    known = [term for term in bench_terms(bench.scale.terms, bench.scale.seed) if " -" not in term]
    for some in (few, many):
        rng = random.Random(1)  # noqa: S311  # the same playlists for both
        new_playlists(engine, {display: playlist_of(known, rng) for display in some})
    _settle(settler, displays)
    for some, times in ((few, few_plays), (many, many_plays)):
        with engine.begin() as connection:
            sql.record_plays(connection, some, times)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sql.vacuum_plays(connection)
    _settle(settler, displays)  # the plans that follow from the plays are stored
    rounds = bench.scale.times(_PLAYING_ROUNDS)
    of_many, of_few = alternate(
        lambda _: seconds(lambda: _settle(settler, many)),
        lambda _: seconds(lambda: _settle(settler, few)),
        rounds,
    )
    bench.progress("Planning after plays", rounds, rounds)
    clear_displays(engine)
    return PlayedCosts(count, few_plays, many_plays, of_few, of_many)


def played_rows(costs: PlayedCosts) -> list[Row]:
    """The line of the table about displays with a long history of plays."""
    return [
        row(
            f"{costs.displays} displays planned again,"
            f" {costs.many_plays:,} plays each against {costs.few_plays:,}",
            "s",
            costs.many,
            Target(ratio_under=1.5),
            costs.few,
        )
    ]


def _new_terms(bench: Bench) -> list[list[str]]:
    """Per round, searches that were never counted and have no pools."""
    tracked = set(bench_terms(bench.scale.terms, bench.scale.seed))
    rounds = []
    for number in range(bench.scale.times(_COLD_ROUNDS)):
        terms = bench_terms(60, _NEW_TERMS_SEED + number)
        rounds.append([t for t in terms if t not in tracked and " -" not in t])
    return rounds


def _measure(
    bench: Bench, engine: Engine, display: str, step: str, terms: Sequence[Sequence[str]]
) -> tuple[list[float], list[float]]:
    ours, current = [], []
    settler = Settler.of(engine, bench.redis, bench.settings)
    for number, of_round in enumerate(terms):
        rng = random.Random(number)  # noqa: S311  # playlists, not secrets
        blocks = playlist_of(of_round, rng)
        new_playlists(engine, {display: blocks})
        ours.append(seconds(lambda: _settle(settler, [display])))
        _check(engine, blocks, _planned(engine, display, blocks))
        if number < bench.scale.rounds:
            picks: list[tuple[BlockDraft, str]] = []
            current.append(
                seconds(lambda: picks.extend(current_way.timeline(engine, blocks, rng)))  # noqa: B023  # called at once
            )
            _check(engine, blocks, picks)
        bench.progress(step, number + 1, len(terms))
    return ours, current


def _settle(settler: Settler, displays: Sequence[str]) -> None:
    """Settle as the API does after an edit, without Redis."""
    for error in settler.publish(displays).failed.values():
        raise error


def _planned(
    engine: Engine, display: str, blocks: Sequence[BlockDraft]
) -> list[tuple[BlockDraft, str]]:
    with engine.connect() as connection:
        plan = sql.active_plan(connection, display)
        order = sql.active_blocks(connection, display)
    by_id = dict(zip(order, blocks, strict=True))
    return [(by_id[pick["block_id"]], pick["video_id"]) for pick in plan["loops"][0]["picks"]]


def _check(
    engine: Engine, blocks: Sequence[BlockDraft], picks: Sequence[tuple[BlockDraft, str]]
) -> None:
    """Raise unless every pick matches its block, and every block with a match is filled."""
    with engine.connect() as connection:
        for block in set(blocks):
            ids = {post for of, post in picks if of == block}
            query = parse_query(block.search_term)
            valid = sql.count_matching(connection, ids, query, block.format)
            if valid != len(ids):
                raise WrongResultError(f"{len(ids) - valid} picks do not match {block}")
            wanted = sum(b.video_count for b in blocks if b == block)
            has = sum(of == block for of, _ in picks)
            if has != wanted and current_way.count(connection, query, Format(block.format)):
                raise WrongResultError(f"{has} of {wanted} picks for {block}")


def timelines_rows(costs: TimelineCosts) -> list[Row]:
    """The lines of the table about timelines."""
    return [
        row(
            "first timeline of new terms, cold",
            "s",
            costs.cold,
            Target(at_least=50),
            costs.cold_current,
        ),
        row(
            "first timeline of new terms, 99th percentile",
            "s",
            costs.cold,
            Target(ours_under=0.7),
            ours_is=percentile_99,
        ),
        row(
            "rebuilding a timeline, pools warm",
            "s",
            costs.warm,
            Target(at_least=500),
            costs.warm_current,
        ),
    ]

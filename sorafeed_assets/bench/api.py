"""The API under load: the admin page, many players, GraphQL beside PostGraphile."""

import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from sorafeed_assets.bench.browser import PageLoad, page_loads
from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import make_displays, new_playlists, playlist_of
from sorafeed_assets.bench.fleet import rebuild_all
from sorafeed_assets.bench.http_servers import our_server, postgraphile
from sorafeed_assets.bench.load import Call, answer_of, at_pace, closed_loop
from sorafeed_assets.bench.measuring import (
    Row,
    Target,
    WrongResultError,
    percentile_95,
    percentile_99,
    row,
)
from sorafeed_assets.bench.playing import Players
from sorafeed_assets.bench.plays import PlayCosts, measure_plays, plays_rows
from sorafeed_assets.bench.react_process import our_react
from sorafeed_assets.bench.react_wall import end_wall, react_settings
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.services.cache.write import write_admin_snapshot, write_count_cache
from sorafeed_assets.services.tokens import Role, create_token
from sorafeed_assets.settings import Settings

_PLAYER_CALLS: Final = 500  # a second
_PLAYER_SECONDS: Final = 20
_PAGE_CALLS: Final = 2  # a second
_PAGE_SECONDS: Final = 30
_LIST_SECONDS: Final = 5.0
_NO_LIMIT: Final = 1_000_000

_OURS: Final = """
{ displays(first: 50) { nodes { id name activePlaylist { name blocks {
  search videoCount fetchMode format total } } } } }
"""
_POSTGRAPHILE: Final = """
{ allDisplays(first: 50, orderBy: ID_ASC) { nodes { id name
  playlistsByDisplayId(condition: {isActive: true}) { nodes { name
    playlistBlocksByPlaylistId(orderBy: BLOCK_ORDER_ASC) { nodes {
      searchTerm videoCount fetchMode format total } } } } } } }
"""


@dataclass(frozen=True, slots=True)
class ApiCosts:
    """Seconds of pages and players; GraphQL answers a second. Empty where not measured."""

    displays: int
    page: Sequence[float]
    page_uncached: Sequence[float]
    page_load: Sequence[PageLoad]
    next_videos: Sequence[float]
    listed: Sequence[float]
    listed_uncached: Sequence[float]
    listed_postgraphile: Sequence[float]
    plays: PlayCosts


def measure_api(bench: Bench, posts: int, folder: Path) -> ApiCosts:
    """Run the benchmark on one catalogue; ``folder`` keeps logs and PostGraphile."""
    engine = bench.catalogue(posts)
    displays = set_up_displays(bench, engine)
    _, admin = create_token(engine, Role.ADMIN, "bench")
    players = [create_token(engine, Role.DISPLAY, "bench", display_id=code)[1] for code in displays]
    try:
        with ExitStack() as stack:
            cached = stack.enter_context(our_server(serving(bench, engine, 5.0), folder / "log"))
            plain = stack.enter_context(our_server(serving(bench, engine, 0.0), folder / "log-0"))
            other = stack.enter_context(postgraphile(engine, folder / "postgraphile"))
            listed, listed_uncached, listed_other = _measure_lists(
                bench, cached, plain, other, admin
            )
            calls = [
                Call(f"{cached}/api/displays/{code}/next?count=5", token)
                for code, token in zip(displays, players, strict=True)
            ]
            next_videos = _paced(bench, calls, _PLAYER_CALLS, _PLAYER_SECONDS)
            bench.progress("Calling the API", 1, 3)
            page, page_uncached = (
                _paced(bench, [Call(f"{url}/admin", admin)], _PAGE_CALLS, _PAGE_SECONDS)
                for url in (cached, plain)
            )
            bench.progress("Calling the API", 2, 3)
            loads = page_loads(f"{cached}/admin?token={admin}")
            bench.progress("Calling the API", 3, 3)
            settings = react_settings(bench, engine, folder)
            react = our_react(settings, engine, folder / "react.log")
            plays = measure_plays(bench, engine, Players(cached, admin, displays), react)
    finally:
        end_wall(engine)
    return ApiCosts(
        displays=len(displays),
        page=page,
        page_uncached=page_uncached,
        page_load=loads,
        next_videos=next_videos,
        listed=listed,
        listed_uncached=listed_uncached,
        listed_postgraphile=listed_other,
        plays=plays,
    )


def set_up_displays(bench: Bench, engine: Engine) -> list[str]:
    """Create displays that play, with everything cached."""
    displays = make_displays(engine, bench.scale.displays)
    terms = bench_terms(bench.scale.terms, bench.scale.seed)
    rng = random.Random(bench.scale.seed)  # noqa: S311  # playlists, not secrets
    new_playlists(engine, {display: playlist_of(terms, rng) for display in displays})
    rebuild_all(engine.url.render_as_string(hide_password=False), bench.redis_url, bench.settings)
    ttl = bench.settings.cache_ttl_seconds
    write_count_cache(engine, bench.redis, ttl=ttl)
    write_admin_snapshot(engine, bench.redis, ttl=ttl)
    return displays


def serving(bench: Bench, engine: Engine, answer_seconds: float) -> Settings:
    return Settings.model_validate(
        {
            **bench.settings.model_dump(),
            "database_url": engine.url.render_as_string(hide_password=False),
            "redis_url": bench.redis_url,
            "api_calls_per_second": _NO_LIMIT,
            "api_answer_seconds": answer_seconds,
        }
    )


def _measure_lists(
    bench: Bench, cached: str, plain: str, other: str | None, admin: str
) -> list[list[float]]:
    """Answers a second of the API with a cache, without one, and of PostGraphile, in turn."""
    ours, theirs = (json.dumps({"query": query}).encode() for query in (_OURS, _POSTGRAPHILE))
    calls = [Call(f"{url}/graphql", admin, ours) for url in (cached, plain)]
    if other is not None:
        calls.append(Call(other, None, theirs))
        _check_same(json.loads(answer_of(calls[0])), json.loads(answer_of(calls[-1])))
    measured: list[list[float]] = [[], [], []]
    for number in range(bench.scale.rounds):
        for call, of_server in zip(calls, measured, strict=False):
            seconds = _LIST_SECONDS * bench.scale.effort
            with _process() as process:
                of_server.append(process.submit(closed_loop, call, seconds).result())
        bench.progress("Listing displays", number + 1, bench.scale.rounds)
    return measured


def _check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    mine = [
        (each["id"], [(b["search"], b["videoCount"], b["total"]) for b in playlist["blocks"]])
        for each in ours["data"]["displays"]["nodes"]
        for playlist in [each["activePlaylist"]]
    ]
    others = [
        (
            each["id"],
            [
                (b["searchTerm"], b["videoCount"], int(b["total"]))
                for b in playlist["playlistBlocksByPlaylistId"]["nodes"]
            ],
        )
        for each in theirs["data"]["allDisplays"]["nodes"]
        for playlist in each["playlistsByDisplayId"]["nodes"]
    ]
    if mine != others:
        raise WrongResultError("the two servers list different displays, blocks or counts")


def _paced(bench: Bench, calls: Sequence[Call], rate: float, seconds: float) -> list[float]:
    with _process() as process:
        return process.submit(at_pace, calls, rate, seconds * bench.scale.effort).result()


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def api_rows(costs: ApiCosts) -> list[Row]:
    """The lines of the table about the API."""
    name = f"{costs.displays:,} displays"
    rows = [
        row(
            f"admin page of {name}, 95th percentile",
            "ms",
            _milliseconds(costs.page),
            Target(ours_under=50),
            ours_is=percentile_95,
        ),
        row(
            f"admin page of {name}, nothing kept in memory, 95th percentile",
            "ms",
            _milliseconds(costs.page_uncached),
            Target(),
            ours_is=percentile_95,
        ),
        row(
            f"next videos, {_PLAYER_CALLS} calls a second of {costs.displays:,} players,"
            " 99th percentile",
            "ms",
            _milliseconds(costs.next_videos),
            Target(ours_under=10),
            ours_is=percentile_99,
        ),
        *plays_rows(costs.plays),
        _rate_row("50 displays with blocks and counts", costs.listed, costs, Target(at_least=3)),
        _rate_row(
            "50 displays with blocks and counts, nothing kept in memory",
            costs.listed_uncached,
            costs,
            Target(at_least=1),
        ),
    ]
    if costs.page_load:
        seconds = [load.seconds for load in costs.page_load]
        whole = f"admin page of {name}, whole load in Chromium"
        rows += [
            row(f"{whole}, signing in", "ms", _milliseconds(seconds), Target(ours_under=500)),
            row(
                f"{whole}: over the wire",
                "kB",
                [load.kilobytes for load in costs.page_load],
                Target(ours_under=200),
            ),
        ]
    return rows


def _rate_row(name: str, rates: Sequence[float], costs: ApiCosts, target: Target) -> Row:
    """Milliseconds of the server per answer, so that ratios read like those of other rows."""
    against = [1000 / rate for rate in costs.listed_postgraphile]
    words = ", against PostGraphile" if against else ""
    return row(f"GraphQL: {name}{words}", "ms", [1000 / r for r in rates], target, against)


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [1000 * each for each in seconds]

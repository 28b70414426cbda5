"""How soon a change is played: from the commit of SQL to queue, Redis and a connected player.

It measures what users see: `sorafeed react` and the API are processes of their own, changes are
plain SQL. The baseline is Dagster's own way: a tick of the sensor or schedule and the
run that it requests, in this process, without the interval of the daemon.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import Final

import dagster as dg

from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import new_playlists, playlist_of
from sorafeed_assets.bench.http_servers import our_server
from sorafeed_assets.bench.measuring import (
    Row,
    Target,
    WrongResultError,
    percentile_95,
    percentile_99,
    row,
    seconds,
)
from sorafeed_assets.bench.react_process import our_react
from sorafeed_assets.bench.react_wall import (
    BETWEEN_SECONDS,
    LOOK_SECONDS,
    PATIENCE,
    SEED,
    Seen,
    Wall,
    edit,
    end_wall,
    is_quiet,
    make_wall,
    react_settings,
    wait,
)
from sorafeed_assets.defs.common import run_over_days
from sorafeed_assets.defs.counts.automation import JOB_NAME as COUNTS_JOB
from sorafeed_assets.defs.counts.automation import days_to_refresh
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import follow_displays
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.demo.catalogue import Post
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import sample_recount
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.storage.benchmarks import react as sql
from sorafeed_assets.storage.cache.redis import count_key, timeline_key
from sorafeed_assets.storage.catalog.bulk import copy_new
from sorafeed_assets.storage.postgres.tables import sora_posts

_EDITS: Final = 100
_NEW_TERM_EDITS: Final = 20
_NEW_TERMS: Final = 12
_POSTS_A_DAY: Final = 120_000
_POSTS: Final = 80
_OTHERS: Final = 1_000
_DELETES: Final = 20
_BURSTS: Final = 3
_STOCK_ROUNDS: Final = 2
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(slots=True)
class ReactCosts:
    """Seconds of reactions; ``stock_`` are a sensor's tick and run."""

    displays: int
    edits: Seen = field(default_factory=Seen)
    new_terms: Seen = field(default_factory=Seen)
    posts: Seen = field(default_factory=Seen)
    deletes: Seen = field(default_factory=Seen)
    bursts: Seen = field(default_factory=Seen)
    stock_edits: list[float] = field(default_factory=list)
    stock_posts: list[float] = field(default_factory=list)
    stock_bursts: list[float] = field(default_factory=list)


def measure_react(bench: Bench, posts: int, folder: Path) -> ReactCosts:
    """Run the benchmark on one catalogue; logs and Dagster's home are in ``folder``."""
    engine = bench.catalogue(posts)
    settings = react_settings(bench, engine, folder)
    bench.redis.flushdb()
    count = bench.scale.new_posts
    posts_needed = count * (bench.scale.times(_BURSTS) + _STOCK_ROUNDS) + 2 * _OTHERS
    wall = make_wall(bench, engine, settings, bench.scale.displays, posts_needed)
    costs = ReactCosts(len(wall.displays))
    try:
        with open_instance(settings) as instance:
            _measure_stock(wall, instance, costs)
        with our_react(settings, engine, folder / "react.log"):
            with our_server(settings, folder / "api.log") as url:
                wait(lambda: is_quiet(engine), "what waits to be settled")
                _measure_edits(wall, url, costs)
            _measure_posts(wall, costs)
            wait(lambda: is_quiet(engine), "what waits to be settled")
            _check(wall)
    finally:
        end_wall(engine)
    return costs


def _measure_edits(wall: Wall, url: str, costs: ReactCosts) -> None:
    """Playlists of known terms, then of new ones, each on another display."""
    tracked = set(bench_terms(wall.bench.scale.terms, wall.bench.scale.seed))
    rng = random.Random(SEED)  # noqa: S311  # playlists, not secrets
    times = wall.bench.scale.times(_EDITS)
    for number in range(times):
        display = wall.displays[number % len(wall.displays)]
        edit(wall, url, display, playlist_of(wall.terms, rng), costs.edits)
        wall.bench.progress("Editing playlists by SQL", number + 1, times)
    times = wall.bench.scale.times(_NEW_TERM_EDITS)
    for number in range(times):
        display = wall.displays[number % len(wall.displays)]
        fresh = [t for t in bench_terms(120, SEED + number) if t not in tracked and " -" not in t]
        tracked |= set(fresh[:_NEW_TERMS])
        blocks = tuple(
            BlockDraft(term, 4, rng.choice(list(FetchMode)), Format.MIXED)
            for term in fresh[:_NEW_TERMS]
        )
        started = edit(wall, url, display, blocks, costs.new_terms)
        keys = [count_key(term, Format.MIXED) for term in fresh[:_NEW_TERMS]]
        wait(lambda: wall.bench.redis.exists(*keys) == len(keys), "counts")  # noqa: B023  # called at once
        costs.new_terms.count.append(time.perf_counter() - started)
        wall.bench.progress("Editing playlists with new terms", number + 1, times)


def _cached_videos(wall: Wall) -> set[str]:
    found = wall.bench.redis.get(timeline_key(wall.watching))
    return {video["video_id"] for video in json.loads(str(found))["videos"]}


def _measure_posts(wall: Wall, costs: ReactCosts) -> None:
    """Measure posts among others at a day's pace, deleted posts, and bursts."""
    times = wall.bench.scale.times(_POSTS)
    added: list[str] = []
    with _others_coming(wall):
        for number in range(times):
            post = wall.watched_post(next(wall.posts), number)
            _see_post(wall, [post], post.id, costs.posts)
            added.append(post.id)
            time.sleep(BETWEEN_SECONDS)
            wall.bench.progress("Inserting posts", number + 1, times)
    deletes = min(wall.bench.scale.times(_DELETES), len(added))
    for number, post_id in enumerate(reversed(added[-deletes:])):
        _see_deletion(wall, post_id, costs.deletes)
        wall.bench.progress("Deleting posts", number + 1, deletes)
    # The count that a burst is added to includes the deleted posts.
    wait(lambda: is_quiet(wall.engine), "the end of the deletions")
    bursts = wall.bench.scale.times(_BURSTS)
    for number in range(bursts):
        posts = [next(wall.posts) for _ in range(wall.bench.scale.new_posts)]
        posts[-1] = wall.watched_post(posts[-1], times + number)
        _see_post(wall, posts, posts[-1].id, costs.bursts)
        wait(lambda: is_quiet(wall.engine), "the end of a burst")
        wall.bench.progress("Inserting bursts of posts", number + 1, bursts)


@contextmanager
def _others_coming(wall: Wall) -> Iterator[None]:
    """Insert posts that do not match the watched term, at a day's pace."""
    stop = Event()
    others = [post for post in islice(wall.posts, _OTHERS) if wall.term not in post.text.lower()]

    def insert() -> None:
        for post in others:
            if stop.wait(86_400 / _POSTS_A_DAY):
                return
            _insert(wall, [post])

    thread = Thread(target=insert)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _insert(wall: Wall, posts: Sequence[Post]) -> float:
    with wall.engine.begin() as connection:
        copy_new(connection, sora_posts, Post._fields, posts)
    return time.perf_counter()


def _see_post(wall: Wall, posts: Sequence[Post], post_id: str, seen: Seen) -> None:
    """Insert posts, and poll every stage for one of them."""
    key = count_key(wall.term, Format.MIXED)
    matching = sum(wall.term in post.text.lower() for post in posts)
    expected = int(str(wall.bench.redis.get(key))) + matching
    with wall.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        looks: dict[str, Callable[[], bool]] = {
            "queue": lambda: post_id in sql.queued_videos(connection, wall.watching),
            "redis": lambda: post_id in _cached_videos(wall),
            "pool": lambda: bool(sql.pooled(connection, wall.term, [post_id])),
            "count": lambda: wall.bench.redis.get(key) == str(expected),
        }
        _see(looks, _insert(wall, posts), seen)


def _see_deletion(wall: Wall, post_id: str, seen: Seen) -> None:
    with wall.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        looks: dict[str, Callable[[], bool]] = {
            "queue": lambda: post_id not in sql.queued_videos(connection, wall.watching),
            "redis": lambda: post_id not in _cached_videos(wall),
        }
        with wall.engine.begin() as writing:
            sql.delete_post(writing, post_id)
        _see(looks, time.perf_counter(), seen)


def _see(looks: dict[str, Callable[[], bool]], started: float, seen: Seen) -> None:
    while looks:
        for name in [name for name, is_seen in looks.items() if is_seen()]:
            getattr(seen, name).append(time.perf_counter() - started)
            del looks[name]
        if time.perf_counter() > started + PATIENCE:
            raise WrongResultError(f"a change did not arrive in {', '.join(looks)}")
        time.sleep(LOOK_SECONDS)


def _measure_stock(wall: Wall, instance: dg.DagsterInstance, costs: ReactCosts) -> None:
    """Measure the sensors' ticks and runs, without `react`."""
    connections = Connections(wall.settings)
    definitions = build_definitions(wall.settings, connections)
    follow_displays(connections, instance)
    stock = _Stock(instance, definitions, connections)
    stock.tick("unsettled")  # records what still waits
    rng = random.Random(SEED)  # noqa: S311  # playlists, not secrets
    for number in range(_STOCK_ROUNDS):
        display = wall.displays[-1 - number % len(wall.displays)]
        with wall.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            before = sql.queued_playlist(connection, display)
            new_playlists(wall.engine, {display: playlist_of(wall.terms, rng)})
            started = time.perf_counter()
            why = stock.tick("unsettled")
            costs.stock_edits.append(time.perf_counter() - started)
            if sql.queued_playlist(connection, display) == before:
                raise WrongResultError(f"the sensor did not settle an edit: {why}")
        _insert(wall, [wall.watched_post(next(wall.posts), -1 - number)])
        costs.stock_posts.append(seconds(stock.refresh_counts))
        _insert(wall, [next(wall.posts) for _ in range(wall.bench.scale.new_posts)])
        costs.stock_bursts.append(seconds(stock.refresh_counts))
        wall.bench.progress("Sensors and their runs", number + 1, _STOCK_ROUNDS)
    connections.close()


@dataclass(frozen=True, slots=True)
class _Stock:
    """What Dagster's daemon does, one step at a time."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions
    connections: Connections

    def tick(self, sensor: str) -> str | None:
        """Evaluate a sensor, and execute the runs that it requests; why it requested none."""
        definition = self.definitions.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            sensor_name=sensor,
            resources={"connections": self.connections},
        )
        result = definition.evaluate_tick(context)
        for request in result.run_requests or []:
            self._run(str(request.job_name or definition.job_name), request)
        return result.skip_message

    def refresh_counts(self) -> None:
        """Execute the run of the hourly schedule, and settle the displays concerned."""
        request = run_over_days(COUNTS_JOB, days_to_refresh(self.connections))
        self._run(COUNTS_JOB, request)
        while self.connections.settler.settle_changed():
            pass

    def _run(self, job: str, request: dg.RunRequest) -> None:
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags=dict(request.tags),
            run_config={**request.run_config, **_QUIET},
        )
        if not result.success:
            raise WrongResultError(f"a run of {job} failed")


def _check(wall: Wall) -> None:
    """Raise unless counts, pools, queues, plans and snapshots are correct."""
    engine, settings = wall.engine, wall.settings
    displays = [*wall.displays, wall.watching]
    pool_size = settings.candidates_per_pool
    counts = [s for s in sample_recount(engine, seed=1, size=5) if s.stored != s.recounted]
    pools = [s for s in sample_pools(engine, seed=1, size=2, pool_size=pool_size) if not s.is_equal]
    problems = {
        **check_queues(engine, displays, settings.window),
        **check_plans(engine, displays),
        **{k: v for k, v in check_timeline_cache(engine, wall.bench.redis, displays).items() if v},
    }
    if counts or pools or problems:
        raise WrongResultError(f"the state is wrong: {counts} {pools} {problems}")


def react_rows(costs: ReactCosts) -> list[Row]:
    """The lines of the table about reactions."""
    name = f"{costs.displays:,} displays"
    edits, fresh = costs.edits, costs.new_terms
    return [
        _row(f"SQL edit to queue, {name}", edits.queue, 500, costs.stock_edits),
        _row(f"SQL edit to Redis, {name}", edits.redis, 500),
        _row(f"SQL edit to a player's event, {name}", edits.event, 500),
        _row(f"SQL edit to a player's event, {name}", edits.event, 1_000, share="99th"),
        _row("SQL edit with 12 new terms to a player's event", fresh.event, 2_000),
        _row("SQL edit with 12 new terms to all their counts", fresh.count, 2_000),
        _row("new post, at 120,000 a day, to its count", costs.posts.count, 2_000),
        _row("new post, at 120,000 a day, to its pool", costs.posts.pool, 2_000),
        _row(
            "new post, at 120,000 a day, to a display's queue",
            costs.posts.queue,
            2_000,
            costs.stock_posts,
        ),
        _row("new post, at 120,000 a day, to a display's Redis", costs.posts.redis, 2_000),
        _row("deleted post out of a display's queue", costs.deletes.queue, 1_000),
        _row("deleted post out of a display's Redis", costs.deletes.redis, 1_000),
        _row("post in a burst to its count", costs.bursts.count, 2_000),
        _row("post in a burst to a display's Redis", costs.bursts.redis, 2_000, costs.stock_bursts),
    ]


def _row(
    name: str,
    taken: Sequence[float],
    under: float,
    stock: Sequence[float] = (),
    *,
    share: str = "95th",
) -> Row:
    return row(
        f"{name}, {share} percentile",
        "ms",
        [1000 * s for s in taken],
        Target(ours_under=under),
        [1000 * s for s in stock],
        ours_is=percentile_99 if share == "99th" else percentile_95,
    )

"""Waiting until everything is quiet, and the checks of what is then stored, cached and recorded."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.chaos.players import Told
from sorafeed_assets.chaos.writers import Written
from sorafeed_assets.defs.dagster_internals import LINEAGE_TAG
from sorafeed_assets.defs.lineage.compare import read_lineage
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import RecordedAsset, recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.cache.write import check_count_cache, check_timeline_cache
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import counts_status, sample_recount
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.excluding import check_excluded
from sorafeed_assets.storage import chaos as sql
from sorafeed_assets.storage.benchmarks.react import waiting

_QUIET_SECONDS: Final = 300.0
_LOOK_SECONDS: Final = 0.5
# Quiet must last: what one process finishes may be the work of another.
_STEADY_SECONDS: Final = 3.0
_SAMPLE: Final = 12
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that has to be zero: what it counts, and what was found, in a line each."""

    name: str
    broken: Sequence[str]


def wait_until_quiet(
    connections: Connections, is_cached: Callable[[], bool], seconds: float = _QUIET_SECONDS
) -> float | None:
    """Wait until nothing waits to be applied, settled, cached or recorded.

    Returns the seconds that took; None if something waits still.
    """
    started = time.monotonic()
    quiet_since: float | None = None
    while time.monotonic() - started < seconds:
        try:
            with connections.engine.connect() as connection:
                is_quiet = not waiting(connection)
            is_quiet = is_quiet and is_cached()
        except SQLAlchemyError:
            is_quiet = False
        now = time.monotonic()
        quiet_since = (quiet_since or now) if is_quiet else None
        if quiet_since is not None and now - quiet_since >= _STEADY_SECONDS:
            return quiet_since - started
        time.sleep(_LOOK_SECONDS)
    return None


def cached_rightly(connections: Connections, displays: Collection[str]) -> list[str]:
    """What is wrong in Redis, a line each."""
    ttl = connections.settings.cache_ttl_seconds
    problems = check_timeline_cache(connections.engine, connections.redis, displays)
    return [
        *(line for lines in problems.values() for line in lines),
        *check_count_cache(connections.engine, connections.redis, ttl=ttl),
    ]


def check_all(
    connections: Connections,
    instance: dg.DagsterInstance,
    displays: Sequence[str],
    told: Told,
    written: Written,
) -> list[Invariant]:
    """Check every invariant of a quiet system."""
    engine, settings = connections.engine, connections.settings
    with engine.connect() as connection:
        plays = sql.stored_plays(connection)
        playing_another = sql.playing_another(connection)
        posts = sql.count_posts_of(connection, written.posts)
        playlists = sql.count_playlists_of(connection, written.playlists)
        left = waiting(connection)
    stored = {play.entry: play.display_id for play in plays}
    lost = [entry for entry, display in told.acknowledged.items() if stored.get(entry) != display]
    # A play that no player told, unless an edit skipped it or an operator did.
    invented = [
        play.entry for play in plays if not play.was_skipped and play.entry not in told.sent
    ]
    queues = check_queues(engine, displays, settings.window)
    assets = recorded_assets(build_definitions(settings, connections).resolve_asset_graph())
    lineage = read_lineage(connections, instance, assets)
    wrong_counts = [
        f"{sample}"
        for sample in sample_recount(engine, seed=0, size=_SAMPLE)
        if sample.stored != sample.recounted
    ]
    wrong_pools = [
        f"{sample}"
        for sample in sample_pools(
            engine, seed=0, size=_SAMPLE, pool_size=settings.candidates_per_pool
        )
        if not sample.is_equal
    ]
    stale = counts_status(engine).stale
    return [
        Invariant("acknowledged plays lost", lost),
        Invariant("plays stored twice", [p.entry for p in plays if p.times > 1]),
        Invariant("plays stored that no player reported", invented),
        Invariant("plays still in an outbox", ["a play"] * told.waiting),
        Invariant("queues broken", _lines(queues)),
        Invariant("displays that play another playlist than the active one", playing_another),
        Invariant("excluded posts queued", _lines(check_excluded(engine, displays))),
        Invariant("plans that break a rule", _lines(check_plans(engine, displays))),
        Invariant("plans not made again the same", _lines(check_replans(engine, displays))),
        Invariant("acknowledged edits lost", ["a playlist"] * (len(written.playlists) - playlists)),
        Invariant("committed posts lost", ["a post"] * (len(written.posts) - posts)),
        Invariant("counts wrong or stale", [*wrong_counts, *["a stale count"] * stale]),
        Invariant("pools wrong", wrong_pools),
        Invariant("values in Redis wrong", cached_rightly(connections, displays)),
        Invariant("recorded differs from stored", list(lineage.differing.values())),
        Invariant("records given to Dagster twice", _twice(instance, assets)),
        Invariant("changes that still wait", ["a change"] * left),
    ]


def _lines(problems: dict[str, list[str]]) -> list[str]:
    return [f"{name}: {line}" for name, lines in problems.items() for line in lines]


def _twice(instance: dg.DagsterInstance, assets: Sequence[RecordedAsset]) -> list[str]:
    """The lineage records that more than one of Dagster's events name."""
    named: Counter[tuple[str, str]] = Counter()
    for asset in assets:
        fetch = (
            instance.fetch_observations if asset.is_observed else instance.fetch_materializations
        )
        cursor: str | None = None
        while True:
            page = fetch(dg.AssetKey(asset.name), limit=_PAGE, cursor=cursor)
            for record in page.records:
                event = record.asset_observation or record.asset_materialization
                name = ((event.tags if event else None) or {}).get(LINEAGE_TAG)
                if name is not None:
                    named[asset.name, name] += 1
            if not page.has_more:
                break
            cursor = page.cursor
    return [f"{asset}: record {name}" for (asset, name), times in named.items() if times > 1]

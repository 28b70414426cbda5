"""No statement of a player or a scanner waits for a lock, whatever else is going on."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.chaos.observing import LongWait, Waits
from sorafeed_assets.chaos.players import Told, play
from sorafeed_assets.chaos.writers import Written, scan
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.counts.reads import counted_days
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.legacy.follow import copy_new_posts
from sorafeed_assets.services.legacy.reconcile import parts, reconcile
from sorafeed_assets.services.timelines.checks import check_queues
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.tokens import Role, create_token
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets.storage.playlists.bulk import insert_displays
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.launch.reacting import is_quiet, reacting
from sorafeed_assets_tests.legacy.old_side import add_old_posts, old_database
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.wall import add_playlist, add_posts

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

_DISPLAYS = [f"WALL{number:02}" for number in range(16)]
_WORDS = ["cat video", "commercial", "Movie Trailer", "Music Video"]
# Not "sorafeed api job": nobody waits for what a process counts in the background.
_PLAYERS = ("sorafeed api read", "sorafeed api change")
_SCANNER = "sorafeed scanner"


@pytest.fixture
def wall(engine: Engine) -> Engine:
    """Displays with playlists of frequent searches, of whose posts there are thousands."""
    for day, words in enumerate(_WORDS):
        add_posts(engine, words, 600, day=day)
    with engine.begin() as connection:
        insert_displays(connection, _DISPLAYS, _DISPLAYS)
    for number, display in enumerate(_DISPLAYS):
        blocks = [(_WORDS[(number + place) % 4], 5) for place in range(6)]
        add_playlist(engine, display, blocks, mode="random" if number % 2 else "newest")
    return engine


@contextmanager
def _playing(settings: Settings, engine: Engine, url: str, told: Told) -> Iterator[None]:
    """A player for each display, and a scanner, for as long as the block lasts."""
    port = int(url.rpartition(":")[2])
    tokens = {
        display: create_token(engine, Role.DISPLAY, "test", display_id=display)[1]
        for display in _DISPLAYS
    }
    ended = Event()

    async def work() -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(play(port, tokens, told, stop, seconds=0.5, seed=1))
            await asyncio.to_thread(ended.wait)
            stop.set()

    with ExitStack() as stack:
        scanner = create_database_engine(str(settings.database_url), settings, application=_SCANNER)
        stack.callback(scanner.dispose)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        both = [
            pool.submit(asyncio.run, work()),
            pool.submit(scan, scanner, Written(), ended, 1),
        ]
        try:
            yield
        finally:
            ended.set()
        for each in both:
            each.result(120)


def _edit(settings: Settings) -> None:
    """New playlists, changed ones and an import of many, as an operator's program makes them."""
    engine = create_database_engine(str(settings.database_url), settings, application="editor")
    with create_redis_client(str(settings.redis_url)) as redis:
        commands = Commands(engine, redis, TimelineService(engine), ttl=3_600)
        for number, display in enumerate(_DISPLAYS[:6]):
            drafts = [
                BlockDraft(_WORDS[(number + place) % 4], 3 + place, FetchMode.NEWEST, Format.MIXED)
                for place in range(4)
            ]
            change = commands.create_playlist(display, "Edited", drafts)
            assert change.problem is None
            assert change.playlist_id is not None
            commands.replace_blocks(change.playlist_id, drafts[:2])
    for display in _DISPLAYS:
        add_playlist(engine, display, [("cat video", 4), ("commercial", 4)])
    engine.dispose()


def _follow(engine: Engine, url: str) -> None:
    """Copy the posts of an old system, and compare every part of its catalogue."""
    with old_catalog(url) as old:
        while copy_new_posts(engine, old).posts:
            pass
        for part in parts(engine, old):
            reconcile(engine, old, part)


def _break_an_index(engine: Engine) -> None:
    """What an interrupted migration leaves: it builds the search index of all posts again."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": "sora_posts_search_idx"},
        )


@pytest.fixture
def old_side(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An old system's catalogue, with posts that the displays' searches match."""
    with old_database(postgres, "followed_beside_players") as url:
        add_old_posts(url, 600, prefix="old")
        yield url


def test_players_and_scanners_wait_for_no_lock(
    wall: Engine, addressed: Settings, instance: dg.DagsterInstance, old_side: str
) -> None:
    connections = Connections(addressed)
    connections.settler.settle(_DISPLAYS)
    told = Told()
    with ExitStack() as stack:
        observer = create_database_engine(str(addressed.database_url), addressed)
        stack.callback(observer.dispose)
        stack.callback(connections.close)
        waits, ended = Waits(observer), Event()
        pool = stack.enter_context(ThreadPoolExecutor(1))
        observing = pool.submit(waits.observe, ended)
        stack.callback(ended.set)
        server = stack.enter_context(served(addressed))
        stack.enter_context(reacting(addressed, instance))
        with _playing(addressed, wall, server.url, told):
            wait_until(lambda: len(told.acknowledged) > 16, "plays")
            _edit(addressed)
            connections.settler.settle(_DISPLAYS)
            refresh_days(wall, counted_days(wall), pool_size=500)
            _follow(wall, old_side)
            _break_an_index(wall)
            migrate(wall)
            before = len(told.acknowledged)
            wait_until(lambda: len(told.acknowledged) > before + 16, "plays after it")
        wait_until(lambda: is_quiet(wall), "nothing to wait")
        ended.set()
        observing.result(60)
    assert told.waiting == 0
    assert check_queues(wall, _DISPLAYS, window=5) == {}
    assert [_line(wait) for wait in waits.long(*_PLAYERS, _SCANNER)] == []


def _line(long: LongWait) -> str:
    wait = long.wait
    return (
        f"{wait.application} waited {long.seconds:.2f} s ({long.samples} samples) for a lock"
        f" ({wait.lock}) of {wait.held_by}: {wait.query[:300]}; held for {wait.held_for}"
    )

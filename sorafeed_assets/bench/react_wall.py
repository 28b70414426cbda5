"""Displays that play while the reaction to a change is measured, and edits of their playlists."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.bench.catalogue import Bench, new_posts, rewind
from sorafeed_assets.bench.displays import clear_displays, make_displays, new_playlists, playlist_of
from sorafeed_assets.bench.measuring import WrongResultError
from sorafeed_assets.bench.react_process import Player
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.demo.catalogue import Post
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.tokens import Role, create_token, list_tokens, revoke_token
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.benchmarks import react as sql
from sorafeed_assets.storage.cache.redis import timeline_key

LOOK_SECONDS: Final = 0.003
PATIENCE: Final = 120.0
SEED: Final = 11_000
BETWEEN_SECONDS: Final = 0.05


@dataclass(slots=True)
class Seen:
    """Seconds from each commit until its effect was seen, in order."""

    queue: list[float] = field(default_factory=list)
    redis: list[float] = field(default_factory=list)
    event: list[float] = field(default_factory=list)
    count: list[float] = field(default_factory=list)
    pool: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Wall:
    """Displays that play, one of which shows the newest posts of a term."""

    bench: Bench
    engine: Engine
    settings: Settings
    displays: list[str]
    terms: list[str]
    watching: str
    term: str
    posts: Iterator[Post]

    def watched_post(self, post: Post, number: int) -> Post:
        """The post, changed so that the watching display picks it first."""
        at = datetime.now(UTC) + timedelta(seconds=number)
        return post._replace(text=f"{post.text} {self.term}", posted_at=at, width=640, height=352)


def make_wall(bench: Bench, engine: Engine, settings: Settings, displays: int, posts: int) -> Wall:
    """Make and settle displays and one more that watches a term; ``posts`` may be inserted."""
    codes = make_displays(engine, displays + 1)
    terms = [t for t in bench_terms(bench.scale.terms, bench.scale.seed) if " -" not in t]
    *others, watching = codes
    rng = random.Random(bench.scale.seed)  # noqa: S311  # playlists, not secrets
    playlists = {display: playlist_of(terms, rng) for display in others}
    term = terms[0]
    newest = (BlockDraft(term, 5, FetchMode.NEWEST, Format.MIXED),)
    new_playlists(engine, {**playlists, watching: newest})
    connections = Connections(settings)
    settler = connections.settler
    for error in settler.settle(codes).failed.values():
        raise error
    settler.write_counts()
    connections.close()
    bench.progress("Making displays", 1, 1)
    return Wall(
        bench, engine, settings, others, terms, watching, term, iter(new_posts(posts, SEED))
    )


def react_settings(bench: Bench, engine: Engine, folder: Path) -> Settings:
    """Settings of `react` and of an API on a catalogue; Dagster's home is in ``folder``."""
    return Settings.model_validate(
        {
            **bench.settings.model_dump(),
            "data_dir": folder,
            "database_url": engine.url.render_as_string(hide_password=False),
            "dagster_url": bench.empty_dagster(),
            "redis_url": bench.redis_url,
        }
    )


def end_wall(engine: Engine) -> None:
    """Remove the displays, their tokens, and the posts that were added."""
    for token in list_tokens(engine):
        if token.name == "bench" and token.revoked_at is None:
            revoke_token(engine, token.id)
    clear_displays(engine)
    rewind(engine)


def edit(wall: Wall, url: str, display: str, blocks: Sequence[BlockDraft], seen: Seen) -> float:
    """Give a display another playlist by SQL; returns when it was committed."""
    _, token = create_token(wall.engine, Role.DISPLAY, "bench", display_id=display)
    with wall.engine.connect() as connection, Player(url, display, token) as player:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        before = sql.queued_playlist(connection, display)
        player.forget()
        new_playlists(wall.engine, {display: blocks})
        started = time.perf_counter()
        wait(lambda: sql.queued_playlist(connection, display) != before, "a queue")
        seen.queue.append(time.perf_counter() - started)
        wait(lambda: cached_playlist(wall, display) != str(before), "a snapshot")
        seen.redis.append(time.perf_counter() - started)
        wait(lambda: player.heard_at is not None, "an event")
        seen.event.append((player.heard_at or 0.0) - started)
    time.sleep(BETWEEN_SECONDS)
    return started


def cached_playlist(wall: Wall, display: str) -> str:
    """The playlist that a display's snapshot in Redis plays."""
    found = wall.bench.redis.get(timeline_key(display))
    return str(json.loads(str(found))["playlist_id"])


def is_quiet(engine: Engine) -> bool:
    """Whether no change waits to be settled, applied, counted or recorded."""
    with engine.connect() as connection:
        return not sql.waiting(connection)


def wait(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        WrongResultError: it is not so in time.
    """
    deadline = time.perf_counter() + PATIENCE
    while not is_so():
        if time.perf_counter() > deadline:
            raise WrongResultError(f"waited in vain for {what}")
        time.sleep(LOOK_SECONDS)

"""Changing the wall at once: each change is stored, planned, cached and told before it returns."""

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Final
from uuid import UUID

from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    NotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.services.cache.write import (
    write_admin_snapshot,
    write_count_cache,
    write_timeline_cache,
)
from sorafeed_assets.services.counts import terms
from sorafeed_assets.services.counts.jobs import Priority, ask_for_counts
from sorafeed_assets.services.playlists import editing as playlists
from sorafeed_assets.services.timelines.advancing import Advance
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.cache.redis import display_tag, redis_errors, tell
from sorafeed_assets.storage.timelines import playback

WALL_TAG: Final = "displays"
"""The name under which displays coming, going and being renamed is told."""
TERMS_TAG: Final = "terms"
TOKENS_TAG: Final = "tokens"

_NOT_PLANNED: Final = (
    "the change is stored, but the display is busy and plays its last plan; it is planned by"
    " Dagster's next look, or by the next change of its playlists"
)

_log: Final = logging.getLogger(__name__)


class PlaybackState(StrEnum):
    """What a display is told to do."""

    PLAYING = "playing"
    PAUSED = "paused"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is stored; ``problem`` is why its display stays on its last good plan."""

    display_id: str
    playlist_id: UUID | None = None
    problem: str | None = None


class Wall:
    """Every change of displays and playlists, and what follows from it.

    Args:
        engine: the database.
        redis: the snapshots, and the channel that changes are told on.
        timelines: the owner of the queues.
        ttl: life of a snapshot in seconds.
        on_change: told the tags of each change in this process, before it returns.
    """

    def __init__(
        self,
        engine: Engine,
        redis: Redis,
        timelines: TimelineService,
        *,
        ttl: int,
        on_change: Callable[[Collection[str]], None] = lambda _tags: None,
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._timelines = timelines
        self._ttl = ttl
        self._on_change = on_change
        self._waiting = _Waiting()

    def create_display(self, display_id: str | None, name: str) -> str:
        """Add a display; its code."""
        code = playlists.create_display(self._engine, display_id, name)
        self._publish([code], WALL_TAG)
        return code

    def rename_display(self, display_id: str, name: str) -> None:
        """Give a display another name."""
        playlists.rename_display(self._engine, display_id, name)
        self._publish([display_id], WALL_TAG)

    def delete_display(self, display_id: str) -> None:
        """Delete a display; its plays stay."""
        playlists.delete_display(self._engine, display_id)
        try:
            self._follow_terms()
        except (UnavailableError, SQLAlchemyError) as error:
            # The display is deleted; Dagster's next look drops its terms.
            _log.warning("the terms of display %s stay for now: %s", display_id, error)
        # Its tokens are gone with it.
        self._publish([display_id], WALL_TAG, TOKENS_TAG)

    def create_playlist(self, display_id: str, name: str, drafts: Sequence[BlockDraft]) -> Change:
        """Add a playlist, which plays at once."""
        playlist_id = playlists.create_playlist(self._engine, display_id, name, drafts)
        return self._settle(display_id, playlist_id)

    def rename_playlist(self, playlist_id: UUID, name: str) -> str:
        """Give a playlist another name; its display."""
        display_id = playlists.display_of(self._engine, playlist_id)
        playlists.rename_playlist(self._engine, playlist_id, name)
        self._publish([display_id])
        return display_id

    def delete_playlist(self, playlist_id: UUID) -> Change:
        """Delete a playlist; the display goes on with its newest other one."""
        display_id = playlists.display_of(self._engine, playlist_id)
        playlists.delete_playlist(self._engine, playlist_id)
        return self._settle(display_id)

    def replace_blocks(self, playlist_id: UUID, drafts: Sequence[BlockDraft]) -> Change:
        """Give a playlist other blocks; what plays goes on playing."""
        display_id = playlists.display_of(self._engine, playlist_id)
        playlists.replace_blocks(self._engine, playlist_id, drafts)
        return self._settle(display_id, playlist_id)

    def activate(self, playlist_id: UUID) -> Change:
        """Choose a playlist by hand."""
        activation = playlists.activate_by_hand(self._engine, playlist_id)
        return self._settle(activation.display_id, playlist_id)

    def set_playback(self, display_id: str, state: PlaybackState) -> None:
        """Let a display play, pause or stop."""
        with self._engine.begin() as connection:
            if playback.playback_state(connection, display_id) is None:
                raise DisplayNotFoundError(display_id)
            playback.set_playback_state(connection, display_id, state.value)
        self._publish([display_id])

    def begin(self, display_id: str, entry: UUID) -> bool:
        """Record that the head of the queue is being shown; False when it is not the head."""
        begun = self._timelines.begin(display_id, entry)
        if begun:
            self._publish([display_id])
        return begun

    def mark_played(self, display_id: str, entry: UUID, *, skipped: bool = False) -> Advance:
        """Record a play, once however often it is told, and go on to the next video."""
        advance = self._timelines.advance(display_id, entry, skipped=skipped)
        self._publish([display_id])
        return advance

    def skip(self, display_id: str, entry: UUID | None = None) -> Advance:
        """Leave what plays (or ``entry``, unless it was left already) for the next video."""
        if entry is None:
            with self._engine.connect() as connection:
                entry = playback.head_of(connection, display_id)
        if entry is None:
            raise NotFoundError(f"display {display_id} plays nothing that could be skipped")
        return self.mark_played(display_id, entry, skipped=True)

    def watch_term(self, search: str) -> str:
        """Keep the counts of a search that no playlist needs."""
        term = terms.watch_term(self._engine, search)
        ask_for_counts(self._engine, [term], Priority.LOOKED_AT)
        self._publish([], TERMS_TAG)
        return term

    def unwatch_term(self, search: str) -> str:
        """Stop watching a search."""
        term = terms.unwatch_term(self._engine, search)
        self._publish([], TERMS_TAG)
        return term

    def tell_of_terms(self) -> None:
        """Tell that somebody else in this process tracked a term."""
        self._tell([TERMS_TAG])

    def note_calls(self, calls: Mapping[str, datetime], silence: float) -> None:
        """Write down when displays called, and tell of those that came or went."""
        since = datetime.now(UTC) - timedelta(seconds=silence)
        with self._engine.begin() as connection:
            changed = playback.record_calls(connection, calls, since) if calls else []
            changed += playback.mark_silent(connection, since)
        if changed:
            self._tell([display_tag(display_id) for display_id in changed])

    def retry_unwritten(self) -> int:
        """Write the snapshots that Redis did not take; how many displays still wait."""
        displays, tags = self._waiting.take()
        if displays or tags:
            self._publish(sorted(displays), *sorted(tags))
        return len(self._waiting.displays)

    def rewrite_snapshots(self) -> None:
        """Write every snapshot anew: what Redis kept through a restart may be old.

        Raises:
            UnavailableError: Redis does not answer.
        """
        displays, tags = self._waiting.take()
        try:
            write_timeline_cache(self._engine, self._redis, ttl=self._ttl)
            write_count_cache(self._engine, self._redis, ttl=self._ttl)
            write_admin_snapshot(self._engine, self._redis, ttl=self._ttl)
        except BaseException:
            self._waiting.add(displays, tags)
            raise
        self._waiting.add((), [*tags, *map(display_tag, displays)])

    def tell_all(self) -> None:
        """Let every process forget what it holds: changes may have been missed."""
        self._tell(["all"])

    def _settle(self, display_id: str, playlist_id: UUID | None = None) -> Change:
        try:
            playlists.activate_pending(self._engine, [display_id])
            outcome = self._timelines.repopulate([display_id])[display_id]
            self._follow_terms()
            problem = str(outcome) if isinstance(outcome, SorafeedError) else None
        except (UnavailableError, SQLAlchemyError) as error:
            _log.warning("display %s is not planned: %s", display_id, error)
            problem = _NOT_PLANNED
        self._publish([display_id])
        return Change(display_id, playlist_id, problem)

    def _follow_terms(self) -> None:
        changed = terms.sync_search_terms(self._engine)
        if changed.added:
            ask_for_counts(self._engine, None, Priority.PLAYED)
        if changed.is_change:
            self._publish([], TERMS_TAG)

    def _publish(self, display_ids: Sequence[str], *more: str) -> None:
        """Redis loses only speed: what it does not take now is written when it is back."""
        tags = [*(display_tag(display_id) for display_id in display_ids), *more]
        try:
            if display_ids:
                # Told with it, in one message: an open page reads once.
                write_timeline_cache(
                    self._engine, self._redis, display_ids, ttl=self._ttl, tags=tags
                )
            else:
                with redis_errors(self._redis):
                    tell(self._redis, tags)
        except (UnavailableError, SQLAlchemyError) as error:
            # The change itself is stored, so it succeeded.
            _log.warning("snapshots of %s wait: %s", json.dumps(list(display_ids)), error)
            self._waiting.add(display_ids, more)
        finally:
            self._on_change(tags)

    def _tell(self, tags: Sequence[str]) -> None:
        try:
            tell_others(self._redis, tags)
        finally:
            self._on_change(tags)


class _Waiting:
    """What is stored but could not be written to Redis or told; for many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.displays: set[str] = set()
        self._tags: set[str] = set()

    def add(self, displays: Collection[str], tags: Collection[str]) -> None:
        with self._lock:
            self.displays.update(displays)
            self._tags.update(tags)

    def take(self) -> tuple[set[str], set[str]]:
        """All of it; it waits no more."""
        with self._lock:
            taken = self.displays, self._tags
            self.displays, self._tags = set(), set()
            return taken


def tell_others(redis: Redis, tags: Collection[str]) -> None:
    """Tell every process that listens; without Redis their answers are kept by nobody anyway."""
    try:
        with redis_errors(redis):
            tell(redis, tags)
    except UnavailableError as error:
        _log.warning("nobody else hears of %s: %s", json.dumps(list(tags)), error)

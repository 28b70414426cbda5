"""Changing displays, playlists and terms: each change is stored and settled before it returns.

What is checked and written is in the rooms (`services.playlists`, `services.counts`,
`services.timelines`); what follows from a change is `services.settle`.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sorafeed_assets.domain.errors import (
    BusyError,
    DisplayNotFoundError,
    NotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.domain.playlists.time_slots import SlotDraft
from sorafeed_assets.services import pairing, tokens
from sorafeed_assets.services.cache.played import Prepared
from sorafeed_assets.services.counts import terms
from sorafeed_assets.services.many import NOT_PLANNED, ManyDisplays
from sorafeed_assets.services.playlists import activation, deleting, displays, editing, timetables
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines import remote
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.late import LatePlay
from sorafeed_assets.services.timelines.playback import AdvancedAtOnce
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.timelines.views import TimelineView, timeline_view
from sorafeed_assets.storage.cache.redis import (
    DISPLAYS_TAG,
    TERMS_TAG,
    TOKENS_TAG,
    display_tag,
    remote_tag,
)
from sorafeed_assets.storage.postgres.retry import is_lost
from sorafeed_assets.storage.timelines import playback

# A player gives up an attempt after some seconds; a thread that waits longer wastes its time.
_BUSY_SECONDS: Final = 2.0
# A play waits for the plans of all that are recorded with it.
MOST_PLANNED: Final = 8

_Result = TypeVar("_Result")

_log: Final = logging.getLogger(__name__)


class PlaybackState(StrEnum):
    """What a display is asked to do."""

    PLAYING = "playing"
    PAUSED = "paused"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is stored.

    Attributes:
        problem: why its display stays on its last good plan.
        deletion_id: what restores a deleted playlist.
    """

    display_id: str
    playlist_id: UUID | None = None
    problem: str | None = None
    deletion_id: UUID | None = None


class Commands:
    """Every change of displays and playlists that a person or a player asks for.

    Args:
        engine: the database.
        redis: the snapshots, and the channel on which changes are published.
        timelines: the owner of the queues.
        ttl: life of a snapshot in seconds.
        pool_size: how many candidates are kept per term, shape and order.
        on_change: called with the tags of each change in this process, before it returns.
    """

    def __init__(
        self,
        engine: Engine,
        redis: Redis,
        timelines: TimelineService,
        *,
        ttl: int,
        pool_size: int = 500,
        on_change: Callable[[Collection[str]], None] = lambda _tags: None,
    ) -> None:
        self._engine = engine
        self._timelines = timelines
        self._playback = timelines.playback
        self._playback = timelines.playback
        self.settler = Settler(
            engine, redis, timelines, ttl=ttl, pool_size=pool_size, on_change=on_change
        )
        self.many = ManyDisplays(engine, self.settler)

    def create_display(self, display_id: str | None, name: str) -> str:
        """Add a display; returns its code."""
        code = displays.create_display(self._engine, display_id, name)
        self._settle(code, None, DISPLAYS_TAG)
        return code

    def connect_screen(
        self, code: str, *, display_id: str | None = None, name: str | None = None
    ) -> Change:
        """Connect the screen that shows a code with a display, or with a new one of this name."""
        connected = pairing.connect_screen(self._engine, code, display_id=display_id, name=name)
        if display_id is None:
            return self._settle(connected.display_id, None, DISPLAYS_TAG, TOKENS_TAG)
        self.settler.tell(TOKENS_TAG)
        return Change(connected.display_id)

    def revoke_screen(self, display_id: str, token_id: UUID) -> None:
        """Revoke the token of a display's screen."""
        tokens.revoke_screen(self._engine, display_id, token_id)
        self.settler.tell(TOKENS_TAG)

    def rename_display(self, display_id: str, name: str) -> None:
        """Rename a display."""
        displays.rename_display(self._engine, display_id, name)
        self.settler.snapshot([display_id], DISPLAYS_TAG)

    def delete_display(self, display_id: str) -> UUID:
        """Delete a display; its plays are kept. Returns the deletion, which can be restored."""
        deletion_id = deleting.delete_display(self._engine, display_id)
        # Its tokens are deleted with it.
        self._settle(display_id, None, DISPLAYS_TAG, TOKENS_TAG)
        return deletion_id

    def create_playlist(
        self,
        display_id: str,
        name: str,
        drafts: Sequence[BlockDraft],
        slots: Sequence[SlotDraft] = (),
    ) -> Change:
        """Add a playlist with its time slots, which becomes active at once."""
        playlist_id = editing.create_playlist(self._engine, display_id, name, drafts, slots)
        return self._settle(display_id, playlist_id)

    def duplicate_playlist(self, playlist_id: UUID, name: str) -> Change:
        """Copy a playlist on its display, as an inactive one."""
        display_id, copy = editing.duplicate_playlist(self._engine, playlist_id, name)
        return self._settle(display_id, copy)

    def rename_playlist(self, playlist_id: UUID, name: str) -> str:
        """Rename a playlist; returns its display."""
        display_id = editing.display_of(self._engine, playlist_id)
        editing.rename_playlist(self._engine, playlist_id, name)
        self.settler.snapshot([display_id])
        return display_id

    def delete_playlist(self, playlist_id: UUID) -> Change:
        """Delete a playlist; the display continues with its newest other one."""
        display_id = editing.display_of(self._engine, playlist_id)
        deletion_id = deleting.delete_playlist(self._engine, playlist_id)
        return replace(self._settle(display_id, None, DISPLAYS_TAG), deletion_id=deletion_id)

    def restore(self, deletion_id: UUID, *, activate: bool = False) -> Change:
        """Restore a deleted display or playlist."""
        restored = deleting.restore(self._engine, deletion_id, activate=activate)
        return self._settle(restored.display_id, restored.playlist_id, DISPLAYS_TAG)

    def replace_blocks(self, playlist_id: UUID, drafts: Sequence[BlockDraft]) -> Change:
        """Replace the blocks of a playlist; the video on screen continues."""
        display_id = editing.display_of(self._engine, playlist_id)
        editing.replace_blocks(self._engine, playlist_id, drafts)
        return self._settle(display_id, playlist_id)

    def activate(self, playlist_id: UUID) -> Change:
        """Choose a playlist by hand."""
        display_id = activation.activate_by_hand(self._engine, playlist_id)
        return self._settle(display_id, playlist_id)

    def replace_slots(self, playlist_id: UUID, drafts: Sequence[SlotDraft]) -> Change:
        """Replace the time slots of a playlist."""
        display_id = timetables.replace_slots(self._engine, playlist_id, drafts)
        return self._settle(display_id, playlist_id)

    def edit_slots(
        self, playlist_id: UUID, added: Sequence[SlotDraft], removed: Collection[UUID]
    ) -> Change:
        """Add time slots to a playlist, and remove some of its display."""
        display_id = timetables.edit_slots(self._engine, playlist_id, added, removed)
        return self._settle(display_id, playlist_id)

    def choose_base(self, playlist_id: UUID) -> Change:
        """Choose the playlist that is active outside the time slots of its display."""
        display_id = timetables.choose_base(self._engine, playlist_id)
        return self._settle(display_id, playlist_id)

    def set_playback(self, display_id: str, state: PlaybackState) -> None:
        """Set a display to play, pause or stop."""
        with self._engine.begin() as connection:
            if playback.playback_state(connection, display_id) is None:
                raise DisplayNotFoundError(display_id)
            playback.set_playback_state(connection, display_id, state.value)
        self.settler.snapshot([display_id])

    def set_sound(
        self, display_id: str, *, is_muted: bool | None = None, volume: int | None = None
    ) -> None:
        """Mute or unmute a display, or set its volume in percent."""
        remote.set_sound(self._engine, display_id, is_muted=is_muted, volume=volume)
        self.settler.tell(remote_tag(display_id), display_tag(display_id))

    def seek(self, display_id: str, seconds: float) -> None:
        """Let a display go to a place in the video on screen."""
        remote.seek(self._engine, display_id, seconds)
        self.settler.tell(remote_tag(display_id))

    def report(self, display_id: str, told: remote.Told) -> bool:
        """Store what a display's player reports; True, and pages are notified, when it changed."""
        changed = remote.store_report(self._engine, display_id, told)
        if changed:
            self.settler.tell(display_tag(display_id))
        return changed

    def begin(self, display_id: str, entry: UUID) -> bool:
        """Record that the head of the queue is being shown; False when it is not the head."""
        begun, prepared = _while_busy(
            lambda: self._playback.begin(display_id, entry, self.settler.played.prepare)
        )
        if begun:
            self._cache(display_id, prepared)
        return begun

    def mark_played(self, display_id: str, entry: UUID, *, skipped: bool = False) -> Advance:
        """Record a play, once even if it is repeated, and advance to the next video."""
        play = Play(display_id, entry, skipped)
        advance, timeline = _while_busy(
            lambda: self._playback.advance_alone(play, self.settler.played.known)
        )
        self._cache(display_id, timeline and self.settler.played.encode([timeline]))
        return advance

    def _cache(self, display_id: str, prepared: Prepared | None) -> None:
        if prepared is None:
            self.settler.snapshot([display_id])
        else:
            self.settler.write_prepared(prepared)

    def mark_all_played(self, plays: Sequence[Play]) -> list[Advance | SorafeedError]:
        """Record many plays, each as `mark_played` does; returns their answers in order.

        Most of them share a transaction. One transaction records a queue's plays; what was queued
        by it is for the next one.
        """
        answered: dict[int, Advance | SorafeedError] = {}

        def record(numbers: Sequence[int], *, plans: bool = False) -> bool:
            found = self.cache_plays(self.record_plays([plays[n] for n in numbers], plans=plans))
            answered.update({n: a for n, a in zip(numbers, found, strict=True) if a is not None})
            return any(found)

        while waiting := [number for number in range(len(plays)) if number not in answered]:
            some = waiting[:MOST_PLANNED]
            if not record(waiting) and not record(some, plans=True):
                answered.update({n: self.mark_played_alone(plays[n]) for n in some})
        return [answered[number] for number in range(len(plays))]

    def mark_late_played(self, plays: Sequence[LatePlay]) -> list[Advance | SorafeedError]:
        """Record plays that were shown while a display reached no server, in their order.

        Their displays' snapshots are written once. Returns the answers in the order of the plays.
        """
        numbers: dict[str, list[int]] = {}
        for number, late in enumerate(plays):
            numbers.setdefault(late.play.display_id, []).append(number)
        answered: dict[int, Advance | SorafeedError] = {}
        for display_id, own in numbers.items():
            try:
                answers = self._playback.advance_late(display_id, [plays[n] for n in own])
            except SorafeedError as error:
                # Those that are recorded nevertheless are found when they are told again.
                answers = [error] * len(own)
            answered.update(zip(own, answers, strict=True))
        self.settler.snapshot(sorted(numbers))
        return [answered[number] for number in range(len(plays))]

    def mark_played_alone(self, play: Play) -> Advance | SorafeedError:
        """Record a play, which may wait for its display and plan; an error is the answer."""
        try:
            return self.mark_played(play.display_id, play.timeline_video_id, skipped=play.skipped)
        except SorafeedError as error:
            return error

    def record_plays(self, plays: Sequence[Play], *, plans: bool = False) -> AdvancedAtOnce:
        """Record the plays that need no waiting, nor a plan unless it ``plans``, at once.

        That is one transaction. The others are answered with None, and not recorded.
        """
        if not plays:
            return AdvancedAtOnce([])
        try:
            return self._playback.advance_at_once(plays, self.settler.played.known, plans=plans)
        except DBAPIError as error:
            if is_lost(error):
                raise
            # An error of one play must not keep the others from being recorded.
            _log.warning("recording %s plays one by one after an error: %s", len(plays), error)
            return AdvancedAtOnce([None] * len(plays))

    def cache_plays(self, recorded: AdvancedAtOnce) -> Sequence[Advance | SorafeedError | None]:
        """Write the snapshots of recorded plays in one round trip; the answers to the plays."""
        prepared = self.settler.played.encode(recorded.timelines, recorded.planned)
        self.settler.write_prepared(prepared)
        return recorded.answers

    def skip(self, display_id: str, entry: UUID | None = None) -> Advance:
        """Skip the playing video (or ``entry``, unless it was skipped already)."""
        if entry is None:
            with self._engine.connect() as connection:
                entry = playback.head_of(connection, display_id)
        if entry is None:
            raise NotFoundError(f"display {display_id} plays nothing that could be skipped")
        return self.mark_played(display_id, entry, skipped=True)

    def previous(self, display_id: str) -> None:
        """Show the video before the one on screen once more."""
        self._timelines.jump(display_id)
        self.settler.snapshot([display_id])

    def play_now(self, display_id: str, post_id: str) -> None:
        """Show a video of a display's plan or history at once; the others follow it."""
        self._timelines.jump(display_id, post_id)
        self.settler.snapshot([display_id])

    def watch_term(self, search: str) -> str:
        """Keep the counts of a search that no playlist needs."""
        term = terms.watch_term(self._engine, search)
        self.settler.tell(TERMS_TAG)
        return term

    def unwatch_term(self, search: str) -> str:
        """Stop watching a search."""
        term = terms.unwatch_term(self._engine, search)
        self.settler.tell(TERMS_TAG)
        return term

    def tell_of_terms(self) -> None:
        """Notify all servers that the tracked terms have changed."""
        self.settler.tell(TERMS_TAG)

    def note_calls(self, calls: Mapping[str, datetime], silence: float) -> None:
        """Store when displays called, and notify of those that went online or offline."""
        since = datetime.now(UTC) - timedelta(seconds=silence)
        with self._engine.begin() as connection:
            changed = playback.record_calls(connection, calls, since) if calls else []
            changed += playback.mark_silent(connection, since)
        if changed:
            self.settler.tell(*(display_tag(display_id) for display_id in changed))

    def timeline(self, display_id: str) -> TimelineView:
        """What a display plays now, next and later, and why."""
        return timeline_view(self._engine, display_id)

    def _settle(self, display_id: str, playlist_id: UUID | None = None, *tags: str) -> Change:
        try:
            settled = self.settler.settle([display_id], *tags)
            failed = settled.failed.get(display_id)
            problem = None if failed is None else str(failed)
        except (UnavailableError, SQLAlchemyError) as error:
            _log.warning("display %s is not settled yet: %s", display_id, error)
            self.settler.snapshot([display_id], *tags)
            problem = NOT_PLANNED
        return Change(display_id, playlist_id, problem)


def _while_busy(work: Callable[[], _Result]) -> _Result:
    """Try work again while another transaction has the display, for a while.

    Raises:
        BusyError: it has the display still.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return work()
        except BusyError:
            if time.monotonic() > deadline:
                raise

"""Activation by the clock: time slots, the base playlist, and what is due."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError, InvalidInputError
from sorafeed_assets.domain.playlists.playlist import Playlist
from sorafeed_assets.domain.playlists.time_slots import MAX_SLOTS, SlotDraft, TimeSlot
from sorafeed_assets.domain.playlists.timetable import (
    LOOK_AHEAD,
    Decision,
    Span,
    Timetable,
    choose_by_hand,
    decide,
    spans,
    usable,
)
from sorafeed_assets.services.playlists.locking import lock_display_of
from sorafeed_assets.storage.playlists import rows
from sorafeed_assets.storage.playlists import timetables as sql
from sorafeed_assets.storage.playlists.timetables import StoredTimetable
from sorafeed_assets.storage.postgres.retry import retried

Left = Callable[[Collection[str]], Collection[str]]
"""Of some displays, those that are not switched by the clock."""


@dataclass(frozen=True, slots=True)
class TimetableView:
    """The timetable of a display for people: what is active, why and until when.

    Attributes:
        unusable: the slots whose time zone is unknown; they never begin.
    """

    display_id: str
    playlists: Mapping[UUID, str]
    slots: tuple[TimeSlot, ...]
    unusable: tuple[TimeSlot, ...]
    decision: Decision | None
    next_id: UUID | None
    now: datetime


def none_left(_display_ids: Collection[str]) -> Collection[str]:
    """No display is left: all are switched by the clock."""
    return ()


def follow_clock(
    connection: Connection, display_ids: Collection[str], left: Left
) -> tuple[set[str], dict[str, Decision]]:
    """Activate the playlists that time slots demand now, of displays that have some.

    Returns those whose active playlist changed, and all decisions. The caller holds the locks.
    """
    stored = sql.load_timetables(connection, display_ids)
    for display_id in left(stored) if stored else ():
        stored.pop(display_id, None)
    untimed = {name for name, each in stored.items() if not each.timetable.slots}
    # Once more without slots: the base is active, unless another playlist was activated by hand.
    held = {name for name in untimed if stored[name].timetable.held_since is not None}
    decisions: dict[str, Decision] = {}
    chosen: dict[str, UUID] = {}
    written: dict[str, StoredTimetable] = {}
    if followed := stored.keys() - held:
        now = sql.database_time(connection)
        for display_id, playlists in _by_display(connection, followed).items():
            before = stored[display_id]
            decision = decide(playlists, before.timetable, now)
            if decision is None:
                continue
            decisions[display_id] = decision
            if any(p.is_active != (p.id == decision.active_id) for p in playlists):
                chosen[display_id] = decision.active_id
            after = _after(before, decision, now)
            if after is not before and display_id not in untimed:
                written[display_id] = after
    if chosen:
        rows.set_active(connection, chosen.keys(), list(chosen.values()))
    rows.mark_decided(connection, decisions.keys() - chosen.keys())
    sql.write_timetables(connection, written)
    sql.remove_timetables(connection, untimed)
    return set(chosen), {name: decisions[name] for name in decisions.keys() - untimed}


def _by_display(connection: Connection, display_ids: Collection[str]) -> dict[str, list[Playlist]]:
    found = rows.load_playlists(connection, display_ids)
    return {name: list(group) for name, group in groupby(found, key=lambda p: p.display_id)}


def _after(before: StoredTimetable, decision: Decision, now: datetime) -> StoredTimetable:
    """What to store of a decision; ``before`` itself when that says the same."""
    timetable = Timetable(before.timetable.slots, decision.base_id, decision.held_since)
    due_at = decision.next_switch
    if due_at is None:
        is_near = before.due_at is not None and now < before.due_at <= now + LOOK_AHEAD
        due_at = before.due_at if is_near else now + LOOK_AHEAD
    is_same = (timetable, due_at) == (before.timetable, before.due_at)
    if is_same and before.decided_at is not None and before.decided_at <= now:
        return before
    return StoredTimetable(timetable, due_at, now)


def hold_by_hand(connection: Connection, playlist: Playlist) -> None:
    """Note that a playlist is activated by hand, if its display has time slots."""
    display_id = playlist.display_id
    stored = sql.load_timetables(connection, [display_id]).get(display_id)
    if stored is None or not stored.timetable.slots:
        return
    playlists = rows.load_playlists(connection, [display_id])
    now = sql.database_time(connection)
    chosen = choose_by_hand(playlists, stored.timetable, playlist.id, now)
    sql.write_choice(connection, display_id, chosen)


@retried
def replace_slots(engine: Engine, playlist_id: UUID, drafts: Sequence[SlotDraft]) -> str:
    """Replace the time slots of a playlist; returns its display.

    Raises:
        InvalidInputError: too many slots, or the same one twice.
        NotFoundError: there is no such playlist.
    """
    check_slots(drafts)
    with engine.begin() as connection:
        display_id = lock_display_of(connection, playlist_id)
        sql.write_slots(connection, playlist_id, drafts)
        return display_id


@retried
def edit_slots(
    engine: Engine, playlist_id: UUID, added: Sequence[SlotDraft], removed: Collection[UUID]
) -> str:
    """Add time slots to a playlist, and remove some of its display; returns the display.

    Raises:
        InvalidInputError: too many slots, the same one twice, or one to remove is not there.
        NotFoundError: there is no such playlist.
    """
    with engine.begin() as connection:
        display_id = lock_display_of(connection, playlist_id)
        slots = sql.load_slots(connection, [display_id]).get(display_id, [])
        if set(removed) - {slot.id for slot in slots}:
            raise InvalidInputError("slot", "is no longer there; reload the page")
        rest = [slot for slot in slots if slot.id not in removed]
        own = [slot.draft for slot in rest if slot.playlist_id == playlist_id]
        check_slots([*own, *added])
        sql.remove_slots(connection, [slot.id for slot in slots if slot.id in removed])
        sql.write_slots(connection, playlist_id, [*own, *added])
        return display_id


def check_slots(drafts: Sequence[SlotDraft]) -> None:
    """Check that a playlist may have these time slots.

    Raises:
        InvalidInputError: too many, or the same one twice.
    """
    if len(drafts) > MAX_SLOTS:
        raise InvalidInputError("slots", f"are {len(drafts)}; at most {MAX_SLOTS} are allowed")
    for index, draft in enumerate(drafts):
        if draft in drafts[:index]:
            raise InvalidInputError(f"slots[{index}]", "appears twice; remove one of them")


@retried
def choose_base(engine: Engine, playlist_id: UUID) -> str:
    """Choose the playlist that is active outside time slots; returns its display.

    Raises:
        InvalidInputError: the playlist has time slots, or its display has none.
        NotFoundError: there is no such playlist.
    """
    with engine.begin() as connection:
        display_id = lock_display_of(connection, playlist_id)
        stored = sql.load_timetables(connection, [display_id]).get(display_id)
        if stored is None or not stored.timetable.slots:
            raise InvalidInputError(
                "playlistId", "is of a display without time slots; activate the playlist instead"
            )
        if any(slot.playlist_id == playlist_id for slot in stored.timetable.slots):
            raise InvalidInputError(
                "playlistId", "has time slots; remove them, or choose another base playlist"
            )
        chosen = Timetable(stored.timetable.slots, playlist_id, stored.timetable.held_since)
        sql.write_choice(connection, display_id, chosen)
        return display_id


def timetable_of(engine: Engine, display_id: str) -> TimetableView:
    """What is active on a display now, why and until when.

    Raises:
        NotFoundError: there is no such display.
    """
    with engine.connect() as connection:
        if not rows.display_ids(connection, [display_id]):
            raise DisplayNotFoundError(display_id)
        playlists = rows.load_playlists(connection, [display_id])
        found = sql.load_timetables(connection, [display_id])
        stored = found.get(display_id, StoredTimetable(Timetable()))
        now = sql.database_time(connection)
    timetable = stored.timetable
    decision = decide(playlists, timetable, now) if timetable.slots else None
    following = None
    if decision is not None and decision.next_switch is not None:
        # A hold ends with its next switch, so that only the timetable decides then.
        unheld = Timetable(timetable.slots, decision.base_id)
        after = decide(playlists, unheld, decision.next_switch)
        following = after.active_id if after else None
    return TimetableView(
        display_id,
        {playlist.id: playlist.name for playlist in playlists},
        timetable.slots,
        tuple(usable(timetable.slots)[1]),
        decision,
        following,
        now,
    )


def spans_of(view: TimetableView, start: datetime, end: datetime) -> list[Span]:
    """Which slot decides from ``start`` to ``end`` on the display of a view."""
    return list(spans(view.slots, start, end))

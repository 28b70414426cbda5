"""Activation: which playlist of a display is active, chosen by age, by the clock or by hand."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.playlists.playlist import Playlist, choose_active, playlist_version
from sorafeed_assets.domain.playlists.timetable import Decision
from sorafeed_assets.services.playlists.locking import locked_playlist
from sorafeed_assets.services.playlists.timetables import (
    Left,
    follow_clock,
    hold_by_hand,
    none_left,
)
from sorafeed_assets.storage.lineage_records import NOTHING, Change, write_changes
from sorafeed_assets.storage.playlists import rows as sql
from sorafeed_assets.storage.playlists.timetables import due_displays
from sorafeed_assets.storage.postgres.retry import retried

# A running `react` would have switched by then.
_LATE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Activation:
    """The active playlist of a display; ``changed`` when another one became active.

    ``decision`` is that of the display's timetable, if its playlists have time slots.
    """

    display_id: str
    playlist_id: UUID | None
    version: str | None
    changed: bool
    decision: Decision | None = None

    @property
    def data_version(self) -> str:
        """``{playlist id}:{version}``, or ``none`` without an active playlist."""
        return f"{self.playlist_id}:{self.version}" if self.version else NOTHING

    @property
    def metadata(self) -> dict[str, int | str]:
        """Which playlist is active and, by a timetable, why and until when."""
        metadata: dict[str, int | str] = {
            "playlist": str(self.playlist_id or NOTHING),
            "was_changed": int(self.changed),
        }
        if self.decision is not None:
            metadata["chosen_by"] = self.decision.chosen_by.value
            if self.decision.next_switch is not None:
                metadata["until"] = self.decision.next_switch.isoformat()
        return metadata


def activation_changes(activations: Iterable[Activation]) -> list[Change]:
    """The lineage changes of `playlists` and `active_playlists` for these displays."""
    return [
        change
        for activation in activations
        for change in (
            Change("playlists", activation.display_id, activation.data_version),
            Change(
                "active_playlists",
                activation.display_id,
                activation.data_version,
                {"playlists": activation.data_version},
                activation.metadata,
            ),
        )
    ]


def activate(
    connection: Connection, display_ids: Collection[str], left: Left = none_left
) -> dict[str, Activation]:
    """Activate the right playlist of each of these displays, and record the result.

    The time slots of displays that ``left`` names are ignored. Returns an activation for each
    existing display. The caller holds the displays' locks.
    """
    changed, decisions = follow_clock(connection, display_ids, left)
    changed |= _decide(connection, sql.undecided_displays(connection, display_ids))
    active = sql.load_active_playlists(connection, display_ids)
    activations = {
        display_id: _activation(
            display_id,
            active.get(display_id),
            decisions.get(display_id),
            changed=display_id in changed,
        )
        for display_id in sql.display_ids(connection, display_ids)
    }
    write_changes(connection, activation_changes(activations.values()))
    return activations


def _decide(connection: Connection, undecided: Collection[str]) -> set[str]:
    """Choose among the playlists of these displays; returns those whose active one changed."""
    if not undecided:
        return set()
    chosen: dict[str, Playlist] = {}
    for display_id, group in groupby(
        sql.load_playlists(connection, undecided), key=lambda playlist: playlist.display_id
    ):
        choice = choose_active(group)
        if choice is not None:
            chosen[display_id] = choice
    if not chosen:
        return set()
    sql.set_active(connection, chosen.keys(), [playlist.id for playlist in chosen.values()])
    return {display_id for display_id, playlist in chosen.items() if not playlist.is_active}


def _activation(
    display_id: str, active: Playlist | None, decision: Decision | None, *, changed: bool
) -> Activation:
    if active is None:
        return Activation(display_id, None, None, changed)
    version = playlist_version(active.blocks)
    return Activation(display_id, active.id, version, changed, decision)


@retried
def activate_by_hand(engine: Engine, playlist_id: UUID) -> str:
    """Activate a playlist; returns its display.

    It stays active until a newer one is created, or until the next switch of a timetable.

    Raises:
        NotFoundError: there is no such playlist.
    """
    with engine.begin() as connection:
        playlist = locked_playlist(connection, playlist_id)
        hold_by_hand(connection, playlist)
        sql.set_active(connection, [playlist.display_id], [playlist.id])
        return playlist.display_id


def active_versions(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, str]:
    """Existing display → ``{playlist id}:{version}`` of its active playlist, or ``none``."""
    versions = dict.fromkeys(sql.display_ids(connection, display_ids), NOTHING)
    for display_id, playlist in sql.load_active_playlists(connection, display_ids).items():
        versions[display_id] = f"{playlist.id}:{playlist_version(playlist.blocks)}"
    return versions


def check_activation(engine: Engine, display_ids: Collection[str]) -> dict[str, list[str]]:
    """The problems of these displays' activation, by display; reads only."""
    with engine.connect() as connection:
        many = sql.several_active(connection, display_ids)
        waiting = sql.undecided_displays(connection, display_ids)
        due = due_displays(connection, _LATE).keys() & set(display_ids)
    problems: dict[str, list[str]] = {}
    for names, text in (
        (waiting, "a newer playlist waits to be activated, or none is active"),
        (many, "has several active playlists"),
        (due, "a switch of its timetable is late"),
    ):
        for name in names:
            problems.setdefault(name, []).append(text)
    return problems

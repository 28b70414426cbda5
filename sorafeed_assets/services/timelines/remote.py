"""Remote control: mute, volume and seek, and what players report that they do.

None of it changes the plan, the queue or the history, so nothing is settled. A player reads what it
is told when it hears the tag of its display's remote control.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, RowMapping

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    NotFoundError,
)
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.timelines import playback
from sorafeed_assets.storage.timelines import remotes as sql

VIEWS: Final = ("waiting", "playing", "paused", "stopped", "refused")
"""What a player can report to show."""
_LONGEST: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Seek:
    """A place in a video that a player goes to, once; ``seconds`` from its start."""

    id: UUID
    entry: UUID
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a player does, and since when.

    Attributes:
        view: one of `VIEWS`.
        seconds: where it was in the video on screen, by its last report or by the start of the
            video; None when nothing is on screen.
        at: when it was there; while it is playing it goes on from there.
        seconds_now: where it is by that.
        duration: of that video in seconds, when it is known.
    """

    view: str
    is_muted: bool
    volume: int
    since: datetime
    seconds: float | None = None
    at: datetime | None = None
    seconds_now: float | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a player reports: its view and sound, and the place in a video if one is on screen."""

    view: str
    is_muted: bool
    volume: int
    entry: UUID | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Remote:
    """What a display's player is told, and what it reports; None before its first report.

    Attributes:
        state: what the display is told to do: playing, paused or idle.
        is_online: whether a player is connected; the report may be old otherwise.
        sound_id: of the last time that the sound was told.
    """

    state: str
    is_online: bool
    is_muted: bool
    volume: int
    sound_id: UUID | None
    seek: Seek | None
    report: Report | None


def read_remote(engine: Engine, display_id: str) -> Remote:
    """What a display's player is told, and what it reports.

    Raises:
        NotFoundError: there is no such display.
    """
    with engine.connect() as connection:
        row = sql.read_remote(connection, display_id)
    if row is None:
        raise DisplayNotFoundError(display_id)
    seek = None
    if row["seek_id"] is not None:
        seek = Seek(row["seek_id"], row["seek_entry"], row["seek_seconds"])
    return Remote(
        row["state"],
        row["is_online"],
        row["is_muted"],
        row["volume"],
        row["sound_id"],
        seek,
        _report(row),
    )


def _report(row: RowMapping) -> Report | None:
    told: dict[str, Any] | None = row["reported"]
    if told is None:
        return None
    report = Report(told["view"], told["muted"], told["volume"], row["reported_at"])
    if report.view not in {"playing", "paused"} or row["head"] is None:
        return report
    # A report about an earlier video says nothing of the place in this one.
    seconds, at = 0.0, row["began_at"] or row["reported_at"]
    if told["entry"] == str(row["head"]):
        seconds, at = told["seconds"], row["reported_at"]
    gone = (row["now"] - at).total_seconds() if report.view == "playing" else 0.0
    duration = None if row["duration_ms"] is None else row["duration_ms"] / 1000
    return replace(
        report,
        seconds=seconds,
        at=at,
        seconds_now=min(seconds + max(gone, 0.0), _LONGEST if duration is None else duration),
        duration=duration,
    )


@retried
def set_sound(
    engine: Engine, display_id: str, *, is_muted: bool | None = None, volume: int | None = None
) -> None:
    """Mute or unmute a display, or set its volume in percent.

    Raises:
        InvalidInputError: the volume is not 0 to 100.
        NotFoundError: there is no such display.
    """
    if volume is not None and not 0 <= volume <= 100:
        raise InvalidInputError("volume", f"is {volume}; it must be 0 to 100")
    with engine.begin() as connection:
        if not sql.set_sound(connection, display_id, is_muted=is_muted, volume=volume):
            raise DisplayNotFoundError(display_id)


@retried
def seek(engine: Engine, display_id: str, seconds: float) -> None:
    """Let a display go to a place in the video on screen, in seconds from its start.

    Raises:
        InvalidInputError: a place that no video has.
        NotFoundError: there is no such display, or it shows nothing.
    """
    _check_seconds(seconds)
    with engine.begin() as connection:
        if playback.playback_state(connection, display_id) is None:
            raise DisplayNotFoundError(display_id)
        if not sql.set_seek(connection, display_id, seconds):
            raise NotFoundError(f"display {display_id} shows nothing to seek in")


@retried
def store_report(engine: Engine, display_id: str, told: Told) -> bool:
    """Store what a player reports; True when it differs from its last report.

    Raises:
        InvalidInputError: a value that no player has.
    """
    if told.view not in VIEWS:
        raise InvalidInputError("view", f"must be one of {', '.join(VIEWS)}")
    if not 0 <= told.volume <= 100:
        raise InvalidInputError("volume", f"is {told.volume}; it must be 0 to 100")
    _check_seconds(told.seconds)
    values = {
        "view": told.view,
        "muted": told.is_muted,
        "volume": told.volume,
        "entry": told.entry,
        "seconds": told.seconds,
    }
    with engine.begin() as connection:
        return sql.store_report(connection, display_id, values)


def _check_seconds(seconds: float) -> None:
    if not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST:
        raise InvalidInputError("seconds", f"is {seconds:g}; it must be 0 to {_LONGEST:g}")

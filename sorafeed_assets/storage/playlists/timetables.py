"""SQL of time slots and timetables, by the clock of the database, which all processes share."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, delete, insert, text

from sorafeed_assets.domain.playlists.time_slots import SlotDraft, TimeSlot, Weekday
from sorafeed_assets.domain.playlists.timetable import Timetable
from sorafeed_assets.storage.postgres.tables import time_slots

# A session keeps its plan: after a migration, a statement with `*` fails once in each.
_SLOT: Final = """s.id, s.playlist_id, s.created_at, s.days, s.starts, s.ends, s.time_zone,
    s.first_day, s.last_day, s.priority"""
_LOAD_SLOTS: Final = text(f"""
SELECT p.display_id, {_SLOT}
FROM time_slots s JOIN playlists p ON p.id = s.playlist_id
WHERE CAST(:display_ids AS text[]) IS NULL OR p.display_id = ANY(:display_ids)
ORDER BY p.display_id, s.starts, s.created_at, s.id
""")
_SLOTS_OF: Final = text(f"""
SELECT {_SLOT} FROM time_slots s WHERE s.playlist_id = :playlist_id ORDER BY s.id
""")
_LOAD: Final = text("""
SELECT display_id, base_id, held_since, due_at, decided_at
FROM timetables WHERE display_id = ANY(:display_ids)
""")
_NOW: Final = text("SELECT clock_timestamp()")
_WRITE: Final = text("""
INSERT INTO timetables (display_id, base_id, held_since, due_at, decided_at)
VALUES (:display_id, :base_id, :held_since, :due_at, :decided_at)
ON CONFLICT (display_id) DO UPDATE
SET (base_id, held_since, due_at, decided_at)
    = ROW(excluded.base_id, excluded.held_since, excluded.due_at, excluded.decided_at)
""")
_CHOOSE: Final = text("""
INSERT INTO timetables (display_id, base_id, held_since)
VALUES (:display_id, :base_id, :held_since)
ON CONFLICT (display_id) DO UPDATE
SET (base_id, held_since) = ROW(excluded.base_id, excluded.held_since)
""")
_REMOVE: Final = text("DELETE FROM timetables WHERE display_id = ANY(:display_ids)")
# Decided later than now: the clock was put back, and what was decided may not be true yet.
_IS_DUE: Final = "(due_at <= clock_timestamp() - :late OR decided_at > clock_timestamp() + :late)"
_DUE: Final = text(f"SELECT display_id, due_at FROM timetables WHERE {_IS_DUE} ORDER BY display_id")
# A display that is being settled is skipped, because its row is about to change.
_NOTE_DUE: Final = text("""
WITH due AS (
    SELECT display_id, due_at FROM timetables
    WHERE due_at <= clock_timestamp() OR decided_at > clock_timestamp()
    FOR UPDATE SKIP LOCKED
), noted AS (
    UPDATE timetables t SET due_at = NULL, decided_at = clock_timestamp()
    FROM due WHERE t.display_id = due.display_id
    RETURNING t.display_id
)
INSERT INTO display_changes (display_id, changed_at)
SELECT noted.display_id, coalesce(least(due.due_at, clock_timestamp()), clock_timestamp())
FROM noted JOIN due USING (display_id)
RETURNING display_id
""")
_NOTIFY: Final = text("NOTIFY sorafeed_changes")
_WAIT: Final = text("""
SELECT extract(epoch FROM min(due_at) - clock_timestamp())::double precision FROM timetables
""")


@dataclass(frozen=True, slots=True)
class StoredTimetable:
    """The timetable of a display, and what was last decided about it, if anything was."""

    timetable: Timetable
    due_at: datetime | None = None
    decided_at: datetime | None = None


def database_time(connection: Connection) -> datetime:
    """The time of the database's clock, which advances during a transaction."""
    now: datetime = connection.scalars(_NOW).one()
    return now


def load_slots(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, list[TimeSlot]]:
    """The time slots of these displays, or of all, by their start; others are missing."""
    slots: dict[str, list[TimeSlot]] = {}
    ids = None if display_ids is None else sorted(display_ids)
    for row in connection.execute(_LOAD_SLOTS, {"display_ids": ids}):
        slots.setdefault(row.display_id, []).append(_slot(row))
    return slots


def _slot(row: Row[Any]) -> TimeSlot:
    draft = SlotDraft(
        frozenset(map(Weekday, row.days)),
        row.starts,
        row.ends,
        row.time_zone,
        row.first_day,
        row.last_day,
        row.priority,
    )
    return TimeSlot(row.id, row.playlist_id, row.created_at, draft)


def load_timetables(
    connection: Connection, display_ids: Collection[str]
) -> dict[str, StoredTimetable]:
    """The timetables of these displays; a display that never had a time slot is missing."""
    slots = load_slots(connection, display_ids)
    rows = {
        row.display_id: row
        for row in connection.execute(_LOAD, {"display_ids": sorted(display_ids)})
    }
    found: dict[str, StoredTimetable] = {}
    for display_id in slots.keys() | rows.keys():
        own, row = tuple(slots.get(display_id, ())), rows.get(display_id)
        if row is None:
            found[display_id] = StoredTimetable(Timetable(own))
        else:
            timetable = Timetable(own, row.base_id, row.held_since)
            found[display_id] = StoredTimetable(timetable, row.due_at, row.decided_at)
    return found


def write_timetables(connection: Connection, timetables: Mapping[str, StoredTimetable]) -> None:
    """Store what was decided about displays."""
    rows = [
        {
            "display_id": display_id,
            "base_id": stored.timetable.base_id,
            "held_since": stored.timetable.held_since,
            "due_at": stored.due_at,
            "decided_at": stored.decided_at,
        }
        for display_id, stored in sorted(timetables.items())
    ]
    if rows:
        connection.execute(_WRITE, rows)


def write_choice(connection: Connection, display_id: str, timetable: Timetable) -> None:
    """Store what was chosen by hand; what follows from it is decided when it is settled."""
    values = {
        "display_id": display_id,
        "base_id": timetable.base_id,
        "held_since": timetable.held_since,
    }
    connection.execute(_CHOOSE, values)


def remove_timetables(connection: Connection, display_ids: Collection[str]) -> None:
    """Remove the rows of displays that have no time slots any more."""
    if display_ids:
        connection.execute(_REMOVE, {"display_ids": sorted(display_ids)})


def due_displays(connection: Connection, late: timedelta = timedelta()) -> dict[str, str]:
    """Display → since when its switch is due, if that is longer ago than ``late``."""
    return {
        row.display_id: f"switch due at {row.due_at}"
        for row in connection.execute(_DUE, {"late": late})
    }


def note_due(connection: Connection) -> list[str]:
    """Note the displays whose switch is due in `display_changes`, as of its time."""
    noted = list(connection.scalars(_NOTE_DUE))
    if noted:
        connection.execute(_NOTIFY)
    return noted


def seconds_to_next(connection: Connection) -> float | None:
    """How long until the earliest switch of all displays; None when there is none."""
    seconds: float | None = connection.scalar(_WAIT)
    return seconds


def remove_slots(connection: Connection, slot_ids: Collection[UUID]) -> None:
    """Remove time slots."""
    connection.execute(delete(time_slots).where(time_slots.c.id.in_(slot_ids)))


def write_slots(connection: Connection, playlist_id: UUID, drafts: Sequence[SlotDraft]) -> bool:
    """Replace the time slots of a playlist; equal ones stay. Returns True when any changed."""
    stored = [_slot(row) for row in connection.execute(_SLOTS_OF, {"playlist_id": playlist_id})]
    wanted = list(drafts)
    gone: list[UUID] = []
    for slot in stored:
        if slot.draft in wanted:
            wanted.remove(slot.draft)
        else:
            gone.append(slot.id)
    if gone:
        remove_slots(connection, gone)
    if wanted:
        connection.execute(insert(time_slots), list(_rows(playlist_id, wanted)))
    return bool(gone or wanted)


def _rows(playlist_id: UUID, drafts: Iterable[SlotDraft]) -> Iterable[dict[str, object]]:
    for draft in drafts:
        yield {
            "playlist_id": playlist_id,
            "days": sorted(int(day) for day in draft.days),
            "starts": draft.starts,
            "ends": draft.ends,
            "time_zone": draft.time_zone,
            "first_day": draft.first_day,
            "last_day": draft.last_day,
            "priority": draft.priority,
        }

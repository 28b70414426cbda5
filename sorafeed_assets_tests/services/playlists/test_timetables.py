"""Timetables on a real database: what is active by the clock, what is recorded, what is due."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.domain.playlists.time_slots import EVERY_DAY, SlotDraft
from sorafeed_assets.domain.playlists.timetable import ChosenBy
from sorafeed_assets.services.playlists.activation import activate_by_hand, check_activation
from sorafeed_assets.services.playlists.deleting import delete_playlist
from sorafeed_assets.services.playlists.editing import create_playlist, list_playlists
from sorafeed_assets.services.playlists.timetables import (
    choose_base,
    replace_slots,
    timetable_of,
)
from sorafeed_assets.services.unsettled import waiting_displays
from sorafeed_assets.storage.playlists.timetables import note_due, seconds_to_next
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import activate_pending, add_display

DISPLAY = "AAAAA1"
_HOUR = timedelta(hours=1)
_ROW = "SELECT base_id, held_since IS NOT NULL, due_at > now() FROM timetables"
_RECORDS = """
SELECT metadata ->> 'chosen_by' FROM lineage_records WHERE asset = 'active_playlists' ORDER BY id
"""
_INSERT = "INSERT INTO time_slots (playlist_id, days, starts, ends, time_zone)"
_ALL_DAY = SlotDraft(EVERY_DAY, time(), time(), "UTC")


def _slot(begins: timedelta, ends: timedelta, **changes: Any) -> SlotDraft:
    """A slot every day from and to these times from now."""
    now = datetime.now(UTC).replace(microsecond=0)
    return SlotDraft(EVERY_DAY, (now + begins).time(), (now + ends).time(), "UTC", **changes)


def _playlist(engine: Engine, name: str) -> UUID:
    return create_playlist(engine, DISPLAY, name, [BlockDraft(name, 2)])


def _active(engine: Engine) -> str:
    activate_pending(engine)
    return next(p.name for p in list_playlists(engine, DISPLAY) if p.is_active)


@pytest.fixture
def weekend(engine: Engine) -> UUID:
    """A display with an older playlist "base", and this one, which is new."""
    add_display(engine, DISPLAY)
    _playlist(engine, "base")
    return _playlist(engine, "weekend")


def test_a_playlist_with_slots_is_active_in_them_only(engine: Engine, weekend: UUID) -> None:
    assert _active(engine) == "weekend"
    replace_slots(engine, weekend, [_slot(_HOUR, 2 * _HOUR)])
    assert _active(engine) == "base"
    replace_slots(engine, weekend, [_slot(-_HOUR, _HOUR)])
    assert _active(engine) == "weekend"
    [(base, held, due)] = run(engine, _ROW)
    assert (base, held, due) == (list_playlists(engine, DISPLAY)[0].id, False, True)
    replace_slots(engine, weekend, [])
    assert _active(engine) == "base"
    assert run(engine, _ROW) == []


def test_only_a_switch_is_recorded(engine: Engine, weekend: UUID) -> None:
    replace_slots(engine, weekend, [_slot(_HOUR, 2 * _HOUR)])
    _active(engine)
    replace_slots(engine, weekend, [_slot(2 * _HOUR, 3 * _HOUR)])
    _active(engine)
    assert run(engine, _RECORDS) == [("base",)]
    replace_slots(engine, weekend, [_slot(-_HOUR, _HOUR)])
    _active(engine)
    assert run(engine, _RECORDS) == [("base",), ("time slot",)]


def test_edits_of_slots_note_their_display(engine: Engine, weekend: UUID) -> None:
    run(engine, "DELETE FROM display_changes")
    for statement in (
        f"{_INSERT} VALUES ('{weekend}', '{{6,7}}', '10:00', '12:00', 'UTC')",
        "UPDATE time_slots SET ends = '13:00'",
        "DELETE FROM time_slots",
        f"INSERT INTO timetables (display_id) VALUES ('{DISPLAY}')",
        "UPDATE timetables SET held_since = now()",
    ):
        run(engine, statement)
        assert run(engine, "DELETE FROM display_changes RETURNING display_id") == [(DISPLAY,)]


@pytest.mark.parametrize(
    "values",
    [
        "'{}', '10:00', '12:00', NULL, NULL, 0",
        "'{0}', '10:00', '12:00', NULL, NULL, 0",
        "'{NULL}', '10:00', '12:00', NULL, NULL, 0",
        "'{1}', '10:00', '24:00', NULL, NULL, 0",
        "'{1}', '23:59:59.7', '12:00', NULL, NULL, 0",
        "'{1}', '10:00', '12:00', '2026-02-02', '2026-02-01', 0",
        "'{1}', '10:00', '12:00', NULL, NULL, 101",
    ],
)
def test_plain_sql_cannot_store_what_has_no_meaning(
    engine: Engine, weekend: UUID, values: str
) -> None:
    with pytest.raises(IntegrityError):
        run(
            engine,
            "INSERT INTO time_slots (playlist_id, time_zone, days, starts, ends, first_day,"
            f" last_day, priority) VALUES ('{weekend}', 'UTC', {values})",
        )


def test_by_hand_holds_until_the_next_switch(engine: Engine, weekend: UUID) -> None:
    base = list_playlists(engine, DISPLAY)[0].id
    replace_slots(engine, weekend, [_slot(-_HOUR, _HOUR)])
    assert _active(engine) == "weekend"
    activate_by_hand(engine, base)
    assert _active(engine) == "base"
    view = timetable_of(engine, DISPLAY)
    assert view.decision is not None
    assert (view.decision.chosen_by, view.next_id) == (ChosenBy.HAND, base)
    # The hold began before the slot did, which is a switch since.
    run(engine, "UPDATE timetables SET held_since = now() - interval '2 hours'")
    assert _active(engine) == "weekend"


def test_by_hand_outside_slots_chooses_the_base(engine: Engine, weekend: UUID) -> None:
    base = list_playlists(engine, DISPLAY)[0].id
    third = _playlist(engine, "third")
    replace_slots(engine, weekend, [_slot(_HOUR, 2 * _HOUR)])
    assert _active(engine) == "third"
    activate_by_hand(engine, base)
    assert _active(engine) == "base"
    assert run(engine, _ROW) == [(base, False, True)]
    choose_base(engine, third)
    assert _active(engine) == "third"


def test_a_base_cannot_have_slots(engine: Engine, weekend: UUID) -> None:
    with pytest.raises(InvalidInputError, match="activate the playlist"):
        choose_base(engine, weekend)
    replace_slots(engine, weekend, [_ALL_DAY])
    with pytest.raises(InvalidInputError, match="has time slots"):
        choose_base(engine, weekend)
    with pytest.raises(NotFoundError):
        choose_base(engine, uuid4())
    with pytest.raises(NotFoundError):
        replace_slots(engine, uuid4(), [])
    with pytest.raises(InvalidInputError, match="twice"):
        replace_slots(engine, weekend, [_ALL_DAY, _ALL_DAY])


def test_a_deleted_playlist_leaves_its_slots_and_the_base_follows(
    engine: Engine, weekend: UUID
) -> None:
    replace_slots(engine, weekend, [_ALL_DAY])
    assert _active(engine) == "weekend"
    delete_playlist(engine, list_playlists(engine, DISPLAY)[0].id)
    assert _active(engine) == "weekend"  # all have slots, so that it is the base too
    other = _playlist(engine, "other")
    assert _active(engine) == "other"  # new: it is held until the next switch
    delete_playlist(engine, weekend)
    assert _active(engine) == "other"
    assert list_playlists(engine, DISPLAY)[0].id == other
    assert run(engine, _ROW) == []


def test_a_due_switch_is_noted_once_and_as_of_its_time(engine: Engine, weekend: UUID) -> None:
    replace_slots(engine, weekend, [_slot(_HOUR, 2 * _HOUR)])
    _active(engine)
    run(engine, "DELETE FROM display_changes")
    with engine.begin() as connection:
        assert note_due(connection) == []
        assert (seconds_to_next(connection) or 0) > 3500
    run(engine, "UPDATE timetables SET due_at = '2026-01-01Z'")
    assert waiting_displays(engine, older_than=_HOUR).keys() == {DISPLAY}
    assert check_activation(engine, [DISPLAY])[DISPLAY] == ["a switch of its timetable is late"]
    with engine.begin() as connection:
        assert note_due(connection) == [DISPLAY]
        assert note_due(connection) == []
    changed = run(engine, "SELECT display_id, changed_at = '2026-01-01Z' FROM display_changes")
    assert changed == [(DISPLAY, True)]
    _active(engine)
    assert run(engine, "SELECT due_at > now() FROM timetables") == [(True,)]
    assert check_activation(engine, [DISPLAY]) == {}


def test_a_clock_that_was_put_back_is_looked_at_again(engine: Engine, weekend: UUID) -> None:
    replace_slots(engine, weekend, [_slot(_HOUR, 2 * _HOUR)])
    _active(engine)
    run(engine, "UPDATE timetables SET decided_at = now() + interval '1 day'")
    run(engine, "UPDATE playlists SET is_active = false")  # as it was then
    run(engine, f"UPDATE playlists SET is_active = true WHERE id = '{weekend}'")
    assert waiting_displays(engine, older_than=timedelta()).keys() == {DISPLAY}
    assert _active(engine) == "base"
    run(engine, "DELETE FROM display_changes")
    assert waiting_displays(engine, older_than=timedelta()) == {}


def test_a_zone_that_is_unknown_is_shown_and_never_begins(engine: Engine, weekend: UUID) -> None:
    run(
        engine,
        f"{_INSERT} VALUES ('{weekend}', '{{1,2,3,4,5,6,7}}', '00:00', '00:00', 'Mars/Olympus')",
    )
    assert _active(engine) == "base"
    assert [slot.draft.time_zone for slot in timetable_of(engine, DISPLAY).unusable] == [
        "Mars/Olympus"
    ]

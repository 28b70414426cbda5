"""The leading `react` switches playlists at their time; a switch that was missed is made up for."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.playlists.time_slots import EVERY_DAY, SlotDraft
from sorafeed_assets.launch import react as react_module
from sorafeed_assets.services.playlists.timetables import replace_slots
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.launch.reacting import (
    add_wall,
    assert_recorded_once,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.wall import add_playlist

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
_PLAYS = """
SELECT b.playlist_id FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id
"""
_CHOSEN = """
SELECT metadata ->> 'chosen_by' FROM lineage_records
WHERE asset = 'active_playlists' ORDER BY id DESC LIMIT 1
"""


def _from_now(begins: float, ends: float) -> SlotDraft:
    now = datetime.now(UTC).replace(microsecond=0)
    starts, stops = (now + timedelta(seconds=each) for each in (begins, ends))
    return SlotDraft(EVERY_DAY, starts.time(), stops.time(), "UTC")


def test_displays_switch_at_their_time_in_one_way(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    add_wall(engine)
    [(base,)] = run(engine, "SELECT id FROM playlists")
    with reacting(addressed, instance):
        other = add_playlist(engine, "AAAAA1", [("cat video", 3)])
        wait_until(lambda: run(engine, _PLAYS) == [(other,)], "the new playlist")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        replace_slots(engine, other, [_from_now(5, 3600)])
        wait_until(lambda: run(engine, _PLAYS) == [(base,)], "the base playlist")
        # Nothing is written at the time of the switch: the clock alone makes it.
        wait_until(lambda: run(engine, _PLAYS) == [(other,)], "the slot")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        assert run(engine, _CHOSEN) == [("time slot",)]
        replace_slots(engine, other, [_from_now(-3600, 2)])
        wait_until(lambda: run(engine, _PLAYS) == [(base,)], "the base playlist again")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    assert_recorded_once(addressed, instance)


def test_after_an_hour_away_only_the_present_is_activated(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    add_wall(engine)
    [(base,)] = run(engine, "SELECT id FROM playlists")
    missed = add_playlist(engine, "AAAAA1", [("cat video", 3)])
    now = add_playlist(engine, "AAAAA1", [("cat video", 4)])
    with reacting(addressed, instance):
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        replace_slots(engine, missed, [_from_now(-3000, -1800)])
        replace_slots(engine, now, [_from_now(3600, 7200)])
        wait_until(lambda: run(engine, _PLAYS) == [(base,)], "the base playlist")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    builds = run(engine, "SELECT max(id) FROM timeline_builds")
    # As it would be if the process had ended an hour ago: both switches are due, none was made.
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT set_config('sorafeed.is_settling', 'on', true)")
        connection.exec_driver_sql(
            f"UPDATE time_slots SET starts = '00:00', ends = '00:00' WHERE playlist_id = '{now}'"
        )
        connection.exec_driver_sql(
            "UPDATE timetables SET due_at = now() - interval '50 minutes',"
            " decided_at = now() - interval '1 hour'"
        )
    with reacting(addressed, instance):
        wait_until(lambda: run(engine, _PLAYS) == [(now,)], "the slot of now")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    played = run(
        engine, f"SELECT DISTINCT playlist_id FROM timeline_builds WHERE id > {builds[0][0]}"
    )
    assert played == [(now,)]
    assert_recorded_once(addressed, instance)


def test_two_processes_switch_once(
    engine: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As one that goes on for a moment without the lease, so that both switch.
    monkeypatch.setattr(react_module, "renew_lease", lambda *_: True)
    add_wall(engine)
    other = add_playlist(engine, "AAAAA1", [("cat video", 3)])
    with reacting(addressed, instance):
        replace_slots(engine, other, [_from_now(4, 3600)])
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        with reacting(addressed, instance):
            wait_until(lambda: run(engine, _PLAYS) == [(other,)], "the slot")
            wait_until(lambda: is_quiet(engine), "nothing to wait")
    assert_recorded_once(addressed, instance)

"""What is deleted can be restored for 30 days, once, as it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, time
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.domain.playlists.time_slots import EVERY_DAY, SlotDraft
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.playlists.deleting import (
    Deletion,
    list_deletions,
    purge,
    restore,
)
from sorafeed_assets.services.playlists.displays import list_displays
from sorafeed_assets.services.playlists.editing import list_playlists
from sorafeed_assets.services.playlists.timetables import timetable_of
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.tokens import Role, create_token, find_tokens
from sorafeed_assets.storage.lineage_records import head_version
from sorafeed_assets.storage.lists import FIRST_PAGE
from sorafeed_assets_tests.catalogue import add_posts, run, videos_of

D = "AAAAAA"
KEPT = ("playlists", "playlist_blocks", "time_slots")
ALWAYS = SlotDraft(EVERY_DAY, time(), time(), "UTC")
NEVER = replace(ALWAYS, last_day=date(2020, 1, 1))
CATS = [BlockDraft("cat", 3, FetchMode.NEWEST)]
DOGS = [BlockDraft("dog", 2, FetchMode.NEWEST), BlockDraft("cat", 1)]


@pytest.fixture
def commands(engine: Engine, redis: Redis) -> Commands:
    add_posts(engine, "cat", 8)
    add_posts(engine, "dog", 8)
    made = Commands(engine, redis, TimelineService(engine), ttl=100)
    made.create_display(D, "Lobby")
    return made


def _deletions(engine: Engine, display_id: str | None = None) -> list[Deletion]:
    return list_deletions(engine, display_id, 100, FIRST_PAGE)


def _rows(engine: Engine) -> dict[str, list[Any]]:
    """The rows that a deletion has to bring back, but for when they were last changed."""
    return {
        table: sorted(
            run(engine, f"SELECT to_jsonb(t) - 'updated_at' AS row FROM {table} t"),
            key=lambda row: str(row.row["id"]),
        )
        for table in KEPT
    }


def _playlist(commands: Commands, name: str, drafts: list[BlockDraft]) -> UUID:
    found = commands.create_playlist(D, name, drafts).playlist_id
    assert found is not None
    return found


def test_a_display_comes_back_with_its_playlists_but_no_tokens(
    engine: Engine, redis: Redis, commands: Commands
) -> None:
    cats = _playlist(commands, "Cats", CATS)
    commands.replace_slots(_playlist(commands, "Dogs", DOGS), [NEVER])
    commands.activate(cats)
    _, secret = create_token(engine, Role.DISPLAY, "the screen", display_id=D)
    before, played = _rows(engine), videos_of(engine, D)
    deletion_id = commands.delete_display(D)
    assert (list_displays(engine), find_tokens(engine, [secret])) == ([], {})
    [deletion] = _deletions(engine)
    assert (deletion.id, deletion.name, deletion.playlist_id) == (deletion_id, "Lobby", None)
    assert (deletion.playlists, deletion.blocks, deletion.was_active) == (2, 3, False)

    change = commands.restore(deletion_id)
    assert (change.display_id, change.problem) == (D, None)
    assert _rows(engine) == before
    assert videos_of(engine, D) == played
    assert find_tokens(engine, [secret]) == {}
    assert _deletions(engine) == []
    assert check_timeline_cache(engine, redis)[D] == []
    with engine.connect() as connection:
        assert head_version(connection, "active_playlists", D).startswith(f"{cats}:")


def test_a_playlist_comes_back_inactive_unless_it_is_to_be_activated(
    engine: Engine, commands: Commands
) -> None:
    dogs = _playlist(commands, "Dogs", DOGS)
    cats = _playlist(commands, "Cats", CATS)
    blocks = run(engine, "SELECT id, playlist_id, search_term FROM playlist_blocks ORDER BY id")
    first = commands.delete_playlist(cats).deletion_id
    [deletion] = _deletions(engine, D)
    assert (deletion.id, deletion.playlist_id, deletion.was_active) == (first, cats, True)
    assert first is not None
    commands.restore(first)
    assert {p.id: p.is_active for p in list_playlists(engine, D)} == {dogs: True, cats: False}
    again = commands.delete_playlist(cats).deletion_id
    assert again is not None
    commands.restore(again, activate=True)
    assert {p.id: p.is_active for p in list_playlists(engine, D)} == {dogs: False, cats: True}
    after = run(engine, "SELECT id, playlist_id, search_term FROM playlist_blocks ORDER BY id")
    assert after == blocks
    assert len(videos_of(engine, D)) == 5


@pytest.mark.parametrize("slots", [[ALWAYS], [NEVER], [ALWAYS, NEVER]])
def test_a_playlist_comes_back_with_its_time_slots(
    engine: Engine, commands: Commands, slots: list[SlotDraft]
) -> None:
    dogs = _playlist(commands, "Dogs", DOGS)
    cats = _playlist(commands, "Cats", CATS)
    commands.replace_slots(cats, slots)
    before, is_now = _rows(engine), ALWAYS in slots
    expected = {dogs: not is_now, cats: is_now}
    assert {p.id: p.is_active for p in list_playlists(engine, D)} == expected
    deletion_id = commands.delete_playlist(cats).deletion_id
    assert {p.id: p.is_active for p in list_playlists(engine, D)} == {dogs: True}
    assert deletion_id is not None
    commands.restore(deletion_id)
    assert _rows(engine)["time_slots"] == before["time_slots"]
    # In one of them it is active again, because the clock says so.
    assert {p.id: p.is_active for p in list_playlists(engine, D)} == expected
    timetable = timetable_of(engine, D)
    assert timetable.decision is not None
    assert timetable.decision.base_id == dogs


def test_a_code_that_was_taken_again_is_refused_and_nothing_is_lost(
    engine: Engine, commands: Commands
) -> None:
    _playlist(commands, "Cats", CATS)
    before = _rows(engine)
    first = commands.delete_display(D)
    commands.create_display(D, "Another")
    with pytest.raises(InvalidInputError, match="AAAAAA was taken by another display"):
        commands.restore(first)
    assert [d.name for d in list_displays(engine)] == ["Another"]
    commands.delete_display(D)
    commands.restore(first)
    assert [d.name for d in list_displays(engine)] == ["Lobby"]
    assert _rows(engine) == before


def test_a_playlist_of_a_deleted_display_waits_for_it(engine: Engine, commands: Commands) -> None:
    cats = _playlist(commands, "Cats", CATS)
    playlist = commands.delete_playlist(cats).deletion_id
    display = commands.delete_display(D)
    assert playlist is not None
    with pytest.raises(NotFoundError, match="restore it first"):
        commands.restore(playlist)
    commands.restore(display)
    commands.restore(playlist)
    assert [p.id for p in list_playlists(engine, D)] == [cats]


def test_it_is_restored_once(engine: Engine, commands: Commands) -> None:
    cats = _playlist(commands, "Cats", CATS)
    deletion = commands.delete_playlist(cats).deletion_id
    assert deletion is not None

    def attempt(work: Callable[[], object]) -> bool:
        try:
            work()
        except NotFoundError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(attempt, [lambda: restore(engine, deletion)] * 4))
    assert sorted(done) == [False, False, False, True]
    assert [p.id for p in list_playlists(engine, D)] == [cats]


def test_after_30_days_it_is_purged(engine: Engine, commands: Commands) -> None:
    old = commands.delete_playlist(_playlist(commands, "Old", CATS)).deletion_id
    new = commands.delete_playlist(_playlist(commands, "New", CATS)).deletion_id
    assert old is not None
    for days, deletion in ((31, old), (29, new)):
        with engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE deletions SET deleted_at = now() - make_interval(days => :days)"
                    " WHERE id = :id"
                ),
                {"days": days, "id": deletion},
            )
    assert [deletion.name for deletion in _deletions(engine)] == ["New"]
    with pytest.raises(NotFoundError, match="over 30 days old"):
        commands.restore(old)
    assert (purge(engine), purge(engine)) == (1, 0)
    assert run(engine, "SELECT name FROM deletions") == [("New",)]


def test_a_column_that_was_dropped_since_is_left_out(engine: Engine, commands: Commands) -> None:
    cats = _playlist(commands, "Cats", CATS)
    deletion = commands.delete_playlist(cats).deletion_id
    assert deletion is not None
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE deletions SET rows ="
                " jsonb_set(rows, '{playlists,0,of_old}', '1') #- '{playlists,0,loop_count}'"
            )
        )
    commands.restore(deletion)
    assert [p.id for p in list_playlists(engine, D)] == [cats]

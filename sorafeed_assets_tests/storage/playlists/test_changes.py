"""`display_changes`: edits by plain SQL are noted, and the writes of settling are not."""

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.storage.playlists.changes import (
    begin_settling,
    changed_displays,
    end_settling,
    next_displays,
    note_displays,
    note_users_of,
)
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist


@pytest.fixture
def wall(engine: Engine) -> Engine:
    for code in ("AAAAA1", "BBBBB2"):
        add_display(engine, code)
        add_playlist(engine, code, [("cat", 2)])
    run(engine, "INSERT INTO display_terms VALUES ('BBBBB2', 'cat')")
    run(engine, "DELETE FROM display_changes")
    return engine


def _changed(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(changed_displays(connection))


@pytest.mark.parametrize(
    "edit",
    [
        (
            "UPDATE playlist_blocks SET search_term = 'dog' WHERE playlist_id IN"
            " (SELECT id FROM playlists WHERE display_id = 'AAAAA1')"
        ),
        (
            "DELETE FROM playlist_blocks WHERE playlist_id IN"
            " (SELECT id FROM playlists WHERE display_id = 'AAAAA1')"
        ),
        "INSERT INTO playlists (display_id, name) VALUES ('AAAAA1', 'x')",
        "UPDATE playlists SET is_active = true WHERE display_id = 'AAAAA1'",
        "DELETE FROM playlists WHERE display_id = 'AAAAA1'",
        "DELETE FROM displays WHERE id = 'AAAAA1'",
    ],
)
def test_an_edit_is_noted(wall: Engine, edit: str) -> None:
    run(wall, edit)
    assert _changed(wall) == ["AAAAA1"]


def test_a_playlist_that_moves_changes_both_displays(wall: Engine) -> None:
    run(wall, "UPDATE playlists SET display_id = 'BBBBB2' WHERE display_id = 'AAAAA1'")
    assert _changed(wall) == ["AAAAA1", "BBBBB2"]


def test_a_name_changes_nothing(wall: Engine) -> None:
    run(wall, "UPDATE playlists SET name = 'another'")
    run(wall, "UPDATE displays SET name = 'another'")
    assert _changed(wall) == []


def test_settling_removes_what_it_saw_and_notes_nothing_itself(wall: Engine) -> None:
    with wall.begin() as connection:
        note_displays(connection, ["AAAAA1", "BBBBB2"])
    with wall.begin() as connection:
        seen = begin_settling(connection, ["AAAAA1"])
        run(wall, "INSERT INTO playlists (display_id, name) VALUES ('AAAAA1', 'meanwhile')")
        connection.execute(text("UPDATE playlists SET is_new = false WHERE display_id = 'AAAAA1'"))
        end_settling(connection, seen)
    assert _changed(wall) == ["AAAAA1", "BBBBB2"]
    with wall.begin() as connection:
        end_settling(connection, begin_settling(connection, ["AAAAA1"]))
    assert _changed(wall) == ["BBBBB2"]
    # The setting that marks settling ends with its transaction.
    run(wall, "UPDATE playlists SET is_new = true WHERE display_id = 'AAAAA1'")
    assert _changed(wall) == ["AAAAA1", "BBBBB2"]


def test_the_users_of_a_pool_are_noted(wall: Engine) -> None:
    run(wall, "UPDATE playlists SET is_active = true")
    run(wall, "UPDATE playlist_blocks SET search_term = ' Cat ', format = 'wide'")
    run(wall, "INSERT INTO display_terms VALUES ('AAAAA1', 'dog')")
    run(wall, "DELETE FROM display_changes")
    with wall.begin() as connection:
        assert note_users_of(connection, []) == set()
        assert note_users_of(connection, [("cat", "tall", "newest")]) == set()
        assert note_users_of(connection, [("cat", "wide", "random")]) == set()
        assert note_users_of(connection, [("dog", "wide", "newest")]) == set()
        cat = [("cat", "tall", "newest"), ("cat", "wide", "newest")]
        assert note_users_of(connection, cat, but=["BBBBB2"]) == set()
        assert note_users_of(connection, cat) == {"BBBBB2"}
    assert _changed(wall) == ["BBBBB2"]


def test_a_playlist_that_is_not_active_uses_no_pool(wall: Engine) -> None:
    run(wall, "UPDATE playlists SET is_active = false")
    with wall.begin() as connection:
        assert note_users_of(connection, [("cat", "wide", "newest")]) == set()


def test_edits_go_before_what_new_posts_changed(wall: Engine) -> None:
    run(wall, "UPDATE playlists SET is_active = true")
    run(wall, "DELETE FROM display_changes")
    with wall.begin() as connection:
        assert note_users_of(connection, [("cat", "other", "newest")]) == {"BBBBB2"}
        assert next_displays(connection, 10, 10) == (["BBBBB2"], False)
        note_displays(connection, ["AAAAA1"])
        assert next_displays(connection, 10, 10) == (["AAAAA1"], True)
        note_displays(connection, ["BBBBB2"])
        assert next_displays(connection, 10, 10) == (["BBBBB2", "AAAAA1"], True)
        assert next_displays(connection, 1, 10) == (["BBBBB2"], True)

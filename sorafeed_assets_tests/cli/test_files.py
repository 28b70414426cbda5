"""Playlists and time slots out as files and in again, by command."""

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import answer, call, refusal
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

CODE = "HALL01"
_SLOTS = """days,starts,ends,time_zone,first_day,last_day,priority
"Sat, Sun",10:00,18:00,Europe/Vienna,,2030-12-31,2
Every day,22:00,04:00,UTC,,,0
"""
_ADVICE = "Change the search or the format of the block, or its number of videos."
_NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def folder(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for commands, which use this test's servers, and a display."""
    variables = {
        **settings.as_environment(),
        "SORAFEED_DAGSTER_URL": psycopg2_url(str(settings.database_url)),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    add_posts(engine, "cat", 9)
    add_display(engine, CODE)
    return settings.data_dir


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_playlist_is_exported_and_imported(
    folder: Path, engine: Engine, tmp_path: Path, kind: str
) -> None:
    playlist = add_playlist(engine, CODE, [("cat", 4), ("“dog”, -cat", 1)])
    file = tmp_path / f"copy.{kind}"
    file.write_text(answer("playlists", "export", playlist, "--output", kind, folder=folder))
    said = answer("playlists", "import", file, "--display", CODE, folder=folder)
    assert "with 2 blocks is active on HALL01" in said
    blocks = run(
        engine,
        """
        SELECT array_agg(ROW(b.search_term, b.video_count, b.fetch_mode, b.format)::text
                         ORDER BY b.block_order)
        FROM playlist_blocks b GROUP BY b.playlist_id""",
    )
    assert len(blocks) == 2
    assert blocks[0] == blocks[1]
    assert run(engine, "SELECT name FROM playlists WHERE is_active") == [("copy",)]


def test_an_import_that_plays_little_says_why(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("search_term,video_count\nunicorn,3\n")
    done = call("playlists", "import", file, "--display", CODE, folder=folder)
    assert "0 videos planned, 0 queued" in done.stdout
    assert done.stderr.splitlines() == [
        "No post matches “unicorn”: its block is left out.",
        f"{CODE} has nothing to play. {_ADVICE}",
    ]
    file.write_text("search_term,video_count\nunicorn,3\ncat,12\n")
    done = call("playlists", "import", file, "--display", CODE, folder=folder)
    assert "12 videos planned, 5 queued" in done.stdout
    assert done.stderr.splitlines() == [
        "No post matches “unicorn”: its block is left out.",
        "Too few posts match “cat”: its block repeats videos.",
        _ADVICE,
    ]
    file.write_text("search_term,video_count\ncat,3\n")
    assert call("playlists", "import", file, "--display", CODE, folder=folder).stderr == ""


def test_the_json_of_a_playlist_has_its_time_slots(
    folder: Path, engine: Engine, tmp_path: Path
) -> None:
    base = add_playlist(engine, CODE, [("cat", 1)])
    playlist = add_playlist(engine, CODE, [("cat", 4)])
    file = tmp_path / "slots.csv"
    file.write_text(_SLOTS)
    answer("timetable", "import", file, "--playlist", playlist, folder=folder)
    file = tmp_path / "copy.json"
    file.write_text(answer("playlists", "export", playlist, "--json", folder=folder))
    said = answer("playlists", "import", file, "--display", CODE, folder=folder)
    assert "with 1 block and 2 time slots is active on HALL01" in said
    [(copy,)] = run(engine, "SELECT id FROM playlists WHERE name = 'copy'")
    exported = answer("timetable", "export", copy, folder=folder)
    assert sorted(exported.splitlines()) == sorted(_SLOTS.splitlines())
    assert '"slots"' not in answer("playlists", "export", base, "--json", folder=folder)

    file.write_text(file.read_text().replace("Europe/Vienna", "Mars"))
    assert "Mars" in refusal("playlists", "import", file, "--display", CODE, folder=folder)
    assert len(run(engine, "SELECT FROM playlists")) == 3


def test_time_slots_are_imported_shown_and_exported(
    folder: Path, engine: Engine, tmp_path: Path
) -> None:
    base = add_playlist(engine, CODE, [("cat", 1)])
    assert f"{CODE} plays the playlist" in answer("playlists", "activate", base, folder=folder)
    shown = call("timetable", "show", CODE, folder=folder)
    assert "No playlist has time slots" in shown.stderr
    night = add_playlist(engine, CODE, [("cat", 2)])
    file = tmp_path / "night.csv"
    file.write_text(_SLOTS)
    said = answer("timetable", "import", file, "--playlist", night, folder=folder)
    assert said.startswith("the playlist has 2 time slots; HALL01: ")

    exported = answer("timetable", "export", night, folder=folder)
    assert sorted(exported.splitlines()) == sorted(_SLOTS.splitlines())
    shown = call("timetable", "show", CODE, "--json", folder=folder)
    slots = json.loads(shown.stdout)
    assert [(slot["days"], slot["starts"], slot["priority"]) for slot in slots] == [
        ("Sat, Sun", "10:00", 2),
        ("Every day", "22:00", 0),
    ]
    assert {slot["playlist_id"] for slot in slots} == {str(night)}
    assert "” is active " in shown.stderr
    (first, _) = csv.DictReader(
        io.StringIO(answer("timetable", "show", CODE, "-o", "csv", folder=folder))
    )
    assert first["last_day"] == "2030-12-31"

    # The way back, by the other kind of file.
    file = tmp_path / "night.json"
    file.write_text(answer("timetable", "export", base, "--json", folder=folder))
    said = answer("timetable", "import", file, "--playlist", night, folder=folder)
    assert said.startswith("the playlist has 0 time slots")
    assert run(engine, "SELECT FROM time_slots") == []


def test_a_wrong_file_is_refused_before_anything_is_written(
    folder: Path, engine: Engine, tmp_path: Path
) -> None:
    playlist = add_playlist(engine, CODE, [("cat", 1)])
    file = tmp_path / "slots.csv"
    file.write_text(_SLOTS + "Mon,noon,17:00,UTC,,,\n")
    found = refusal("timetable", "import", file, "--playlist", playlist, folder=folder)
    assert found.startswith("Line 4: the start is 'noon'; write a time")
    file.write_bytes("days,\xe9".encode("latin-1"))
    found = refusal("timetable", "import", file, "--playlist", playlist, folder=folder)
    assert found.endswith("slots.csv is not UTF-8; save it as CSV UTF-8")
    assert run(engine, "SELECT FROM time_slots") == []
    file.write_text(_SLOTS)
    assert "does not exist" in refusal(
        "timetable", "import", file, "--playlist", _NOBODY, folder=folder
    )
    for command in (("playlists", "export"), ("timetable", "export")):
        assert "does not exist" in refusal(*command, _NOBODY, folder=folder)
        assert "contradicts --output csv" in refusal(
            *command, playlist, "--json", "-o", "csv", folder=folder
        )
    assert "NOBODY does not exist" in refusal("timetable", "show", "NOBODY", folder=folder)

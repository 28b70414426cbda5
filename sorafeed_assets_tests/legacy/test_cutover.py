"""Switching displays over and back: checks, the driver, and plays exported to the old file."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError, NotDrivenError, SetupError
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.legacy.cutover import Switch
from sorafeed_assets.services.legacy.export import export_plays
from sorafeed_assets.services.legacy.queues import import_queues, settle_imported
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.driving import Driver
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.deploy.files import ROOT
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.wall import add_posts

CODES = ["HALL01", "HALL02", "HALL03"]
PLAYED_AT = "2025-10-24 10:00:00"
# Everything that trying a plan could leave behind.
WRITTEN = ("timeline_builds", "timeline_videos", "displays", "lineage_records", "flag_versions")


@pytest.fixture
def file(tmp_path: Path) -> OldFile:
    file = OldFile(tmp_path / "old.sqlite")
    for code in CODES:
        file.add_display(code.lower())
        file.add_playlist(code.lower(), f"list of {code}", [("tea", 8)])
        file.add_play(code.lower(), "p_tea_0_0011", PLAYED_AT)
    return file


@pytest.fixture
def flags(engine: Engine) -> Flags:
    """All displays are driven by the old system."""
    flags = Flags(engine)
    with engine.begin() as connection:
        flags.set_all(connection, DRIVER, "old", by="test", why="beside it")
    return flags


@pytest.fixture
def settler(engine: Engine, settings: Settings, file: OldFile, flags: Flags) -> Iterator[Settler]:
    add_posts(engine, "tea", 12)
    with Redis.from_url(str(settings.redis_url)) as redis:
        settler = Settler.of(engine, redis, settings)
        _import(engine, settler, file.path)
        yield settler


def _import(engine: Engine, settler: Settler, path: Path) -> None:
    with old_queues(path) as opened:
        done = import_queues(engine, opened, path)
    settle_imported(engine, settler, done.changed)


@pytest.fixture
def switch(engine: Engine, settler: Settler, file: OldFile) -> Switch:
    return Switch(engine, TimelineService(engine), None, file.path)


def _rows(engine: Engine) -> list[object]:
    return [run(engine, f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 2")
            for table in WRITTEN]  # fmt: skip


def test_a_check_says_what_would_change_and_writes_nothing(engine: Engine, switch: Switch) -> None:
    before = _rows(engine)
    found = switch.check(["HALL02"], None)
    assert _rows(engine) == before
    (display,) = found.displays
    assert (display.now, display.then, display.queued) == (Driver.OLD, Driver.NEW, 5)
    assert display.played_until == datetime.fromisoformat(f"{PLAYED_AT}+00:00")
    assert found.is_ready
    assert queue_of(engine, "HALL02") == []


def test_a_check_says_why_not(engine: Engine, switch: Switch, file: OldFile) -> None:
    run(engine, "UPDATE playlist_blocks SET search_term = 'nothing has this' FROM playlists p"
        " WHERE p.id = playlist_id AND p.display_id = 'HALL01'")  # fmt: skip
    run(engine, "DELETE FROM playlists WHERE display_id = 'HALL02'")
    # The web app writes its file all the time; only an old import speaks against a switch.
    file.run("UPDATE displays SET last_ping = '2025-10-24 10:00:01'")
    assert switch.check(["HALL03"], None).is_ready
    run(engine, "UPDATE legacy_queues SET imported_at = imported_at - interval '1 hour'")
    found = switch.check(CODES, None)
    assert not found.is_ready
    empty, none, good = found.displays
    assert "no post matches" in empty.problems[0]
    assert "no active playlist" in none.problems[0]
    assert good.problems == ()
    assert "written since" in found.problems[0]


def test_a_display_that_shows_nothing_there_may_be_switched(
    engine: Engine, switch: Switch, settler: Settler, file: OldFile
) -> None:
    """As most displays of a real wall, which a share consists of too."""
    file.add_display("IDLE01")
    file.add_display("IDLE02")
    _import(engine, settler, file.path)
    found = switch.check(["HALL01", "IDLE01", "IDLE02"], None)
    assert [(each.queued, each.problems) for each in found.displays] == [(5, ()), (0, ()), (0, ())]
    assert found.is_ready
    # Its first playlist there cannot be taken, so that it would show nothing here.
    file.add_playlist("IDLE02", "huge", [("tea", 5_000)])
    file.add_playlist("IDLE01", "good", [("tea", 3)])
    _import(engine, settler, file.path)
    good, refused = switch.check(["IDLE01", "IDLE02"], None).displays
    assert (good.queued, good.problems) == (5, ())
    assert refused.problems[0].startswith("refused:")
    assert switch.check([], 100).is_ready is False


def test_a_problem_speaks_only_against_its_own_display(
    engine: Engine, switch: Switch, settler: Settler, file: OldFile
) -> None:
    file.add_playlist("hall01", "as display HALL02", [("tea", 5_000)], active=False)
    file.add_display("Hall03")
    _import(engine, settler, file.path)
    first, second, third = switch.check(CODES, None).displays
    assert first.problems[0].startswith("refused:")
    assert second.problems == ()
    assert "belongs to 2 displays" in third.problems[0]


def test_a_conflict_of_a_display_speaks_against_it(
    engine: Engine, switch: Switch, settler: Settler, file: OldFile
) -> None:
    run(engine, "UPDATE displays SET name = 'ours' WHERE id = 'HALL01'")
    file.run("UPDATE displays SET name = 'theirs' WHERE id = 'hall01'")
    _import(engine, settler, file.path)
    first, second, _ = switch.check(CODES, None).displays
    assert first.problems[0].startswith("conflict:")
    assert second.problems == ()


def test_an_old_side_that_cannot_be_read_speaks_against_all(
    engine: Engine, settler: Settler, tmp_path: Path
) -> None:
    gone = Switch(engine, TimelineService(engine), None, tmp_path / "gone.sqlite")
    assert "cannot be read" in gone.check(["HALL01"], None).problems[0]
    nowhere = "postgresql://127.0.0.1:1/none"
    away = Switch(engine, TimelineService(engine), nowhere, None)
    assert "the old catalogue cannot be read" in away.check(["HALL01"], None).problems[0]


@pytest.mark.parametrize(
    ("codes", "share", "problem"),
    [
        ([], None, "needed"),
        (["NOHALL"], None, "does not exist"),
        (["HALL01"], 10.0, "together"),
        ([], 101.0, "from 0 to 100"),
    ],
)
def test_bad_input_is_refused(
    switch: Switch, codes: list[str], share: float | None, problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        switch.check(codes, share)


def test_a_share_needs_another_system_for_the_rest(
    engine: Engine, switch: Switch, flags: Flags
) -> None:
    with engine.begin() as connection:
        flags.set_all(connection, DRIVER, "new", by="test", why="all")
    with pytest.raises(InvalidInputError, match="flags set driver old"):
        switch.check([], 10)


def test_a_share_is_switched_and_grows(
    engine: Engine, switch: Switch, settler: Settler, flags: Flags
) -> None:
    switched: set[str] = set()
    for share in (40, 80, 100):
        checked = switch.check([], share)
        done = switch.switch([], share, by="test", why="grow")
        assert [each.display_id for each in checked.displays] == sorted(done.displays)
        settler.settle(done.displays)
        assert not switched & done.displays.keys()
        switched |= done.displays.keys()
    assert switched == set(CODES)
    assert all(len(queue_of(engine, code)) == 5 for code in CODES)


def _statements_of_the_docs(plays: Path) -> list[str]:
    """What the docs let the old file be given the plays by, of this file of plays."""
    page = (ROOT / "docs" / "migration.md").read_text()
    (command,) = re.findall(r'^sqlite3 "\$SORAFEED_LEGACY_QUEUES" "([^"]+)"$', page, re.MULTILINE)
    return str(command).replace("plays.sqlite", str(plays)).rstrip(";").split(";")


def test_over_and_back_with_its_plays(
    engine: Engine, switch: Switch, settler: Settler, file: OldFile, tmp_path: Path
) -> None:
    """Every play is in both systems once, and the old file was never written."""
    written = file.path.read_bytes()
    done = switch.switch(["HALL01"], None, by="test", why="the first")
    assert dict(done.displays) == {"HALL01": ("old", "new")}
    settle_imported(engine, settler, sorted(done.displays))
    service = TimelineService(engine)
    began = datetime.now(UTC)
    shown = [
        service.playback.advance("HALL01", queue_of(engine, "HALL01")[0].id).video_id
        for _ in range(6)
    ]
    assert "p_tea_0_0011" not in shown  # played by the old system, so not again
    back = switch.switch(["HALL01"], None, Driver.OLD, by="test", why="back")
    assert dict(back.displays) == {"HALL01": ("new", "old")}
    with pytest.raises(NotDrivenError):
        service.playback.advance("HALL01", queue_of(engine, "HALL01")[0].id)

    target = tmp_path / "plays.sqlite"
    since = began - timedelta(minutes=1)
    assert export_plays(engine, target, since=since, old=file.path) == 6
    assert file.path.read_bytes() == written

    copy = tmp_path / "copy.sqlite"
    shutil.copy(file.path, copy)
    old = OldFile.__new__(OldFile)
    old.path = copy
    with old.open() as connection:
        # As the docs say; twice adds nothing.
        attach, insert = _statements_of_the_docs(target)
        connection.execute(attach)
        assert connection.execute(insert).rowcount == 6
        assert connection.execute(insert).rowcount == 0
    connection.close()
    rows = old.run("SELECT display_id, video_id FROM video_history WHERE played_at > '2026'")
    assert sorted(rows) == sorted(("hall01", video) for video in shown)
    before = run(engine, "SELECT id, played_at FROM video_history ORDER BY id")
    _import(engine, settler, copy)
    assert run(engine, "SELECT id, played_at FROM video_history ORDER BY id") == before


def test_an_export_is_refused_before_anything_is_written(
    engine: Engine, settler: Settler, tmp_path: Path
) -> None:
    target = tmp_path / "plays.sqlite"
    with pytest.raises(InvalidInputError, match="time zone"):
        export_plays(engine, target, since=datetime(2026, 1, 1))  # noqa: DTZ001  # the refused one
    with pytest.raises(SetupError, match="cannot be read"):
        export_plays(engine, target, old=tmp_path / "gone.sqlite")
    with pytest.raises(SetupError, match="cannot be written"):
        export_plays(engine, tmp_path / "no folder" / "plays.sqlite")
    assert not target.exists()
    target.write_text("something else")
    with pytest.raises(SetupError, match="exists"):
        export_plays(engine, target)
    assert target.read_text() == "something else"

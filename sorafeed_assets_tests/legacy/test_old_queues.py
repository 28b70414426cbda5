"""The old file is read as it was at one moment; one that cannot be read is refused."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from threading import Event, Thread
from typing import Final

import pytest

from sorafeed_assets.domain.errors import SetupError, UnavailableError
from sorafeed_assets.storage.legacy import old_queues as reading
from sorafeed_assets.storage.legacy.old_queues import change_counter, display_codes, old_queues
from sorafeed_assets_tests.legacy.old_file import OldFile

# A limit of one page for what the process writes stands for a full disk.
_WITHOUT_SPACE: Final = """
import resource, sys
from pathlib import Path
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.storage.legacy.old_queues import old_queues
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    with old_queues(Path(sys.argv[1])):
        pass
except SetupError as error:
    print(error)
"""

# root may read everything, so a process of root becomes another user first.
_WITHOUT_RIGHTS: Final = """
import os, sys
from pathlib import Path
from sorafeed_assets.services.legacy.check import check_queues
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
print(check_queues(Path(sys.argv[1])))
"""


@pytest.fixture
def file(tmp_path: Path) -> OldFile:
    file = OldFile(tmp_path / "old queues.sqlite")
    file.add_display("HALL01")
    return file


def _refusal(path: Path) -> str:
    with pytest.raises(SetupError) as refused, old_queues(path):
        pass
    assert str(path) in str(refused.value)
    return str(refused.value)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "No such file" in _refusal(tmp_path / "none.sqlite")


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in _refusal(tmp_path)


def test_no_rights(file: OldFile) -> None:
    file.path.chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_RIGHTS, str(file.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{file.path} cannot be read: Permission denied" in done.stdout, done.stderr
    assert "let this user read it" in done.stdout
    assert "is_problem=True" in done.stdout


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert "is empty; set SORAFEED_LEGACY_QUEUES" in _refusal(tmp_path / "x")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("display,playlist\n" * 20)
    assert "is not an SQLite file" in _refusal(tmp_path / "x")


def test_a_file_whose_writes_its_counter_does_not_tell(file: OldFile) -> None:
    before = change_counter(file.path)
    file.add_display("HALL02")
    assert change_counter(file.path) != before
    file.run("PRAGMA journal_mode = WAL")
    assert "is in WAL mode" in _refusal(file.path)
    file.run("PRAGMA journal_mode = DELETE")
    with old_queues(file.path) as opened:
        assert len(opened.rows("displays")) == 2


def test_another_schema(tmp_path: Path, file: OldFile) -> None:
    file.run("ALTER TABLE playlists RENAME COLUMN is_active TO active")
    assert "playlists has no column is_active" in _refusal(file.path)
    file.run("DROP TABLE video_history")
    file.run("ALTER TABLE playlists RENAME COLUMN active TO is_active")
    assert "has no table video_history" in _refusal(file.path)


def test_a_torn_file(file: OldFile) -> None:
    with closing(file.open()) as connection:
        connection.execute("BEGIN")
        for number in range(2_000):
            connection.execute(
                "INSERT INTO video_history (id, video_id) VALUES (?, ?)", [str(number), "v" * 200]
            )
        connection.execute("COMMIT")
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[: len(whole) // 2])
    assert "is torn: " in _refusal(file.path)
    # Half a write: pages in the middle are of another file.
    file.path.write_bytes(whole[:8_192] + b"\x07" * 8_192 + whole[16_384:])
    assert "restore it from a backup" in _refusal(file.path)


def test_a_locked_file(file: OldFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SECONDS", 0.2)
    with closing(file.open()) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(UnavailableError, match="stays locked by another program"),
            old_queues(file.path),
        ):
            pass
        holder.execute("ROLLBACK")
    with old_queues(file.path) as opened:
        assert len(opened.rows("displays")) == 1


def test_the_codes_are_read_without_a_copy(
    file: OldFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    file.add_display("hall02")
    assert display_codes(file.path) == ["HALL01", "hall02"]
    with closing(file.open()) as app:
        # Neither keeps the other one waiting.
        app.execute("PRAGMA busy_timeout = 0")
        app.execute("BEGIN IMMEDIATE")
        app.execute("INSERT INTO displays (id, name) VALUES ('HALL03', 'x')")
        assert display_codes(file.path) == ["HALL01", "hall02"]
        app.execute("COMMIT")
    assert display_codes(file.path) == ["HALL01", "HALL03", "hall02"]


def test_codes_that_cannot_be_read(file: OldFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal() -> str:
        with pytest.raises((SetupError, UnavailableError)) as refused:
            display_codes(file.path)
        assert str(file.path) in str(refused.value)
        return str(refused.value)

    monkeypatch.setattr(reading, "_SECONDS", 0.2)
    with closing(file.open()) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert "stays locked by another program" in refusal()
        holder.execute("ROLLBACK")
        ((page,),) = holder.execute("SELECT rootpage FROM sqlite_master WHERE name = 'displays'")
        ((size,),) = holder.execute("PRAGMA page_size")
    whole = file.path.read_bytes()
    start = (page - 1) * size
    file.path.write_bytes(whole[:start] + b"\x07" * size + whole[start + size :])
    assert "is torn: " in refusal()
    file.path.write_bytes(whole)
    file.run("DROP TABLE video_history")
    assert "has no table video_history" in refusal()
    file.path.write_text("no database" * 20)
    assert "is not an SQLite file" in refusal()
    file.path.unlink()
    assert "No such file" in refusal()


def test_an_interrupted_write_is_named(file: OldFile) -> None:
    # A hot journal: what a web app that was killed while it wrote leaves behind.
    with closing(sqlite3.connect(file.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        for number in range(3_000):
            connection.execute(
                "INSERT INTO video_history (id, video_id) VALUES (?, ?)", [str(number), "v" * 99]
            )
        torn, journal = file.path.read_bytes(), Path(f"{file.path}-journal").read_bytes()
        connection.execute("ROLLBACK")
    killed = file.path.with_name("killed.sqlite")
    killed.write_bytes(torn)
    Path(f"{killed}-journal").write_bytes(journal)
    before = killed.read_bytes()
    assert "start the web app once" in _refusal(killed)
    with pytest.raises(SetupError, match="start the web app once"):
        display_codes(killed)
    assert killed.read_bytes() == before


def test_the_file_is_not_written(file: OldFile) -> None:
    before = (file.path.read_bytes(), file.path.stat().st_mtime_ns, change_counter(file.path))
    with old_queues(file.path) as opened:
        opened.rows("displays")
    after = (file.path.read_bytes(), file.path.stat().st_mtime_ns, change_counter(file.path))
    assert before == after
    assert {path.name for path in file.path.parent.iterdir()} == {file.path.name}


@pytest.fixture
def writer(file: OldFile) -> Iterator[list[BaseException]]:
    """The web app writing all the time, always whole pairs of rows; yields its errors."""
    stop, errors = Event(), list[BaseException]()
    for number in range(300):
        file.add("timeline_videos", id=f"old{number}", video_data="x" * 8_000)

    def write() -> None:
        try:
            with closing(file.open()) as connection:
                number = 0
                while not stop.is_set():
                    number += 1
                    connection.execute("BEGIN IMMEDIATE")
                    for half in "ab":
                        connection.execute(
                            "INSERT INTO video_history (id, display_id, video_id, played_at)"
                            " VALUES (?, 'HALL01', 'v', '2025-10-24 10:00:00')",
                            [f"{number}{half}"],
                        )
                    connection.execute("COMMIT")
        except sqlite3.Error as error:
            errors.append(error)

    thread = Thread(target=write)
    thread.start()
    yield errors
    stop.set()
    thread.join()


def test_the_web_app_can_write_between_any_two_steps(
    file: OldFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lock is held between steps: a writer that waits for none of them is never refused."""
    for number in range(300):
        file.add("timeline_videos", id=f"old{number}", video_data="x" * 8_000)
    watch, steps = reading._Watch.__call__, list[int]()

    def write(self: reading._Watch, status: int, left: int, pages: int) -> None:
        if left and len(steps) < 8:
            steps.append(left)
            with closing(sqlite3.connect(file.path, isolation_level=None, timeout=0)) as app:
                app.execute("INSERT INTO video_history (id) VALUES (?)", [str(len(steps))])
        watch(self, status, left, pages)

    monkeypatch.setattr(reading._Watch, "__call__", write)
    with old_queues(file.path) as opened:
        assert opened.count_plays() == len(steps) == 8


def test_a_file_is_read_while_it_is_written(file: OldFile, writer: list[BaseException]) -> None:
    plays: list[int] = []
    for _ in range(3):
        with old_queues(file.path) as opened:
            plays.append(len(list(opened.plays())))
    assert all(count % 2 == 0 for count in plays)
    assert plays == sorted(plays)
    assert writer == []


def test_plays_are_read_since_a_day(file: OldFile) -> None:
    for number, at in enumerate(("2025-10-23 23:59:59", "2025-10-24T00:00:00Z", "2025-10-25 1:00")):
        file.add_play("HALL01", f"v{number}", at)
    with old_queues(file.path) as opened:
        assert [row["video_id"] for row in opened.plays("2025-10-24")] == ["v1", "v2"]
        assert len(list(opened.plays())) == 3


def test_plays_of_a_display_are_found_without_reading_all(file: OldFile) -> None:
    file.add_play("HALL01", "v1", "2025-10-24 10:00:00")
    before = file.path.read_bytes()
    with old_queues(file.path) as found:
        playing = found.playing()
        assert playing == ["HALL01"]
        steps: list[str] = []
        found._connection.set_trace_callback(steps.append)
        assert all(list(found.plays_of([display])) for display in playing)
        found._connection.set_trace_callback(None)
        plan = found._connection.execute(f"EXPLAIN QUERY PLAN {steps[0]}").fetchall()
    assert any("SEARCH video_history USING INDEX" in str(row) for row in plan), plan
    assert file.path.read_bytes() == before


def test_a_full_temporary_folder_is_named_and_not_the_file(file: OldFile) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_SPACE, str(file.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{gettempdir()} has no space for a copy of {file.path}" in done.stdout, done.stderr
    assert "TMPDIR" in done.stdout

"""Plays of the old file: what an import holds in memory does not depend on how many there are."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from sorafeed_assets.domain.legacy.queues import OldPlay, OldRow, PlayReader
from sorafeed_assets.services.legacy.check import check_queues
from sorafeed_assets.services.legacy.queues import import_queues
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets.storage.postgres.retry import is_lost
from sorafeed_assets_tests.legacy.old_file import OldFile, id_of, video_data
from sorafeed_assets_tests.memory import peak

_FEW: Final = 2_000
_MANY: Final = 40_000
# A play that is read and kept takes some 400 bytes.
_MUCH: Final = (_MANY - _FEW) * 40


def _file(path: Path, plays: int) -> OldFile:
    """A file of which every play is of another post, which its queue has too."""
    file = OldFile(path)
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 1)])
    videos = [f"v{number:06}" for number in range(plays)]
    data = video_data("v")
    with closing(file.open()) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO video_history (id, display_id, video_id, loop_iteration, played_at)"
            " VALUES (?, 'HALL01', ?, 1, '2025-10-24 10:00:00')",
            [(id_of(video), video) for video in videos],
        )
        connection.executemany(
            "INSERT INTO timeline_videos (id, display_id, video_id, status, video_data, created_at)"
            " VALUES (?, 'HALL01', ?, 'played', ?, '2025-10-24 09:00:00')",
            [(id_of(video), video, data) for video in videos],
        )
        connection.execute("COMMIT")
    return file


def _import(engine: Engine, file: OldFile, *, with_posts: bool = True) -> dict[str, int]:
    with old_queues(file.path) as opened:
        return dict(import_queues(engine, opened, file.path, with_posts=with_posts).written)


def test_an_import_needs_the_same_memory_for_twenty_times_as_many_plays(
    engine: Engine, tmp_path: Path
) -> None:
    few, many = (_file(tmp_path / f"{plays}.sqlite", plays) for plays in (_FEW, _MANY))
    # Modules that are imported late, and the caches of statements, are there afterwards.
    _import(engine, _file(tmp_path / "first.sqlite", 10))
    needed = peak(lambda: _import(engine, few))
    assert peak(lambda: _import(engine, many)) < needed + _MUCH
    with engine.connect() as connection:
        for table in ("video_history", "sora_posts"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == _MANY
    # Again, when all of them are there.
    assert peak(lambda: _import(engine, many)) < needed + _MUCH
    assert set(_import(engine, many).values()) == {0}


def test_a_check_needs_the_same_memory_too(tmp_path: Path) -> None:
    few, many = (_file(tmp_path / f"{plays}.sqlite", plays) for plays in (_FEW, _MANY))
    check_queues(few.path)
    needed = peak(lambda: check_queues(few.path))
    assert peak(lambda: check_queues(many.path)) < needed + _MUCH
    assert f"1 display, 1 playlist and {_MANY:,} plays" in check_queues(many.path)[0].text


def test_a_display_that_played_there_waits_to_be_settled(engine: Engine, tmp_path: Path) -> None:
    """So it is settled even if the program that imports is killed before it does so."""
    file = _file(tmp_path / "x.sqlite", 10)
    _import(engine, file)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM display_changes"))
    _import(engine, file)
    with engine.connect() as connection:
        assert list(changed_displays(connection)) == []
    file.add_play("HALL01", "v000000", "2025-10-25 10:00:00")
    file.add_play("NOBODY", "v000000", "2025-10-25 10:00:00")
    _import(engine, file)
    with engine.connect() as connection:
        assert list(changed_displays(connection)) == ["HALL01"]


def test_a_server_that_ends_while_plays_are_sent_is_an_error_that_may_pass(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `legacy follow` goes on when PostgreSQL is there again."""
    file = _file(tmp_path / "x.sqlite", 20)
    read = PlayReader.read

    def ending(self: PlayReader, rows: Iterable[OldRow]) -> Iterator[OldPlay]:
        with engine.connect() as other:
            other.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        yield from read(self, rows)

    monkeypatch.setattr(PlayReader, "read", ending)
    with pytest.raises(DBAPIError) as refused:
        _import(engine, file)
    assert is_lost(refused.value)
    monkeypatch.undo()
    assert _import(engine, file)["plays"] == 20

"""Any value in any column of the old file: its row is imported or refused, once."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.services.legacy.queues import QueuesImport, import_queues, settle_imported
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.wall import add_posts

_VALUES: Final = (
    *(None, "", "  ", 0, -1, 1, 1.5, 2**31, 2**63 - 1, "nan", "-inf", "1e400", True, "TRUE"),
    *("x", "a\x00b", b"\xff\xfe", b"", "“tea”", "tea" * 500, "%_\\", "-tea", "tea -"),
    *("HALL01", "hall01", "2025-10-24 10:00:00", "2025-10-24T10:00:00+09:00", "1761387000000"),
    *("9999-12-31", "0001-01-01 00:00:00"),
)
_TABLES: Final = (
    *("displays", "playlists", "playlist_blocks", "timeline_videos", "video_history"),
)
_WRITTEN: Final = (
    *("displays", "playlists", "playlist_blocks", "video_history", "sora_posts"),
    *("timeline_videos", "timeline_builds", "legacy_imports", "legacy_problems"),
)


@pytest.fixture
def settler(engine: Engine, settings: Settings) -> Iterator[Settler]:
    with Redis.from_url(str(settings.redis_url)) as redis:
        yield Settler.of(engine, redis, settings)


def _file(path: Path) -> OldFile:
    file = OldFile(path)
    for code in ("HALL01", "HALL02", "HALL03"):
        file.add_display(code)
        file.add_playlist(code, f"day {code}", [("tea", 2), ("milk", 1)])
        file.add_play(code, "p", "2025-10-24 10:00:00")
    file.add_queued("HALL01", ["v1", "v2"], copies=2)
    return file


def _spoil(file: OldFile, chance: random.Random) -> None:
    """Change some values, and add some rows of odd ones."""
    with closing(file.open()) as connection:
        for table in _TABLES:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]
            columns, marks = ", ".join(names), ", ".join("?" * len(names))
            for _ in range(8):
                change = f"UPDATE {table} SET {chance.choice(names)} = ? WHERE rowid = ?"
                # What the file's own rules refuse cannot be there.
                with suppress(sqlite3.IntegrityError):
                    connection.execute(change, [chance.choice(_VALUES), chance.choice(rows)])
                with suppress(sqlite3.IntegrityError):
                    connection.execute(
                        f"INSERT INTO {table} ({columns}) VALUES ({marks})",
                        [chance.choice(_VALUES) for _ in names],
                    )


def _import(engine: Engine, settler: Settler, file: OldFile) -> QueuesImport:
    with old_queues(file.path) as opened:
        done = import_queues(engine, opened, file.path, with_posts=True)
    settle_imported(engine, settler, done.changed)
    return done


def _state(engine: Engine) -> list[list[tuple[object, ...]]]:
    """Every row with the transaction that wrote it."""
    with engine.connect() as connection:
        return [
            [
                tuple(row)
                for row in connection.execute(
                    text(f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 2")
                )
            ]
            for table in _WRITTEN
        ]


@pytest.mark.parametrize("seed", range(8))
def test_odd_values_are_imported_or_refused(
    engine: Engine, settler: Settler, tmp_path: Path, seed: int
) -> None:
    add_posts(engine, "tea", 5)
    file = _file(tmp_path / "old.sqlite")
    _spoil(file, random.Random(seed))  # noqa: S311  # odd values, no secrets
    done = _import(engine, settler, file)
    assert done.problems
    before = _state(engine)
    assert set(_import(engine, settler, file).written.values()) == {0}
    assert _state(engine) == before

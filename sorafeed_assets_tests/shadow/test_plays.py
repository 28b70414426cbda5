"""Of the old file's plays a comparison holds those of one display at a time."""

from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.services.shadow.walls import old_displays
from sorafeed_assets_tests.legacy.old_file import OldFile, id_of
from sorafeed_assets_tests.memory import peak

_PLAYS: Final = 1_000


def _file(path: Path, displays: int) -> OldFile:
    """A file with the plays of some displays, one of which is written in two ways."""
    file = OldFile(path)
    with closing(file.open()) as connection:
        connection.execute("BEGIN")
        for number in range(displays):
            code = f"HALL{number:02}"
            connection.execute("INSERT INTO displays (id, name) VALUES (?, 'x')", [code])
            connection.executemany(
                "INSERT INTO video_history (id, display_id, video_id, loop_iteration, played_at)"
                " VALUES (?, ?, ?, 1, '2025-10-24 10:00:00')",
                [
                    (id_of(f"{code}/{play}"), code if play else f" {code.lower()}", f"v{play}")
                    for play in range(_PLAYS)
                ],
            )
        connection.execute("COMMIT")
    return file


def _read(engine: Engine, file: OldFile) -> list[int]:
    with old_displays(engine, file.path) as there:
        return [len(there.plays(code)) for code in there.wall.displays]


def test_the_memory_does_not_grow_with_the_displays(engine: Engine, tmp_path: Path) -> None:
    few, many = _file(tmp_path / "few.sqlite", 2), _file(tmp_path / "many.sqlite", 40)
    assert _read(engine, few) == [_PLAYS] * 2
    needed = peak(lambda: _read(engine, few))
    # A play that is kept takes some 400 bytes.
    assert peak(lambda: _read(engine, many)) < needed + 38 * _PLAYS * 40
    assert _read(engine, many) == [_PLAYS] * 40


def test_a_display_without_plays_has_none(engine: Engine, tmp_path: Path) -> None:
    with old_displays(engine, _file(tmp_path / "x.sqlite", 1).path) as there:
        assert there.plays("NOBODY") == []

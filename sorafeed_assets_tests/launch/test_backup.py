"""A backup has both databases as of one moment; a restore brings all back, or changes nothing."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch import backup
from sorafeed_assets.launch.backup import back_up, backups_in
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres, postgres_program
from sorafeed_assets.launch.restore import restore
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.services.tokens import Role, create_token, find_token
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.backups import last_backup
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.roles import GRANTS
from sorafeed_assets_tests.launch.reacting import add_wall


@pytest.fixture
def stored(engine: Engine, addressed: Settings) -> Settings:
    """Databases with a wall, a token, a play and a run."""
    add_wall(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO video_history (display_id, video_id, loop_iteration)"
                " VALUES ('AAAAA1', 'p_cat_video_0_0001', 0)"
            )
        )
    with open_instance(addressed) as instance:
        instance.add_dynamic_partitions("displays", ["AAAAA1"])
        instance.report_runless_asset_event(dg.AssetMaterialization("playlists"))
    return addressed


@pytest.fixture
def target(
    stored: Settings, postgres: EmbeddedPostgres, tmp_path: Path
) -> Iterator[Callable[[], Settings]]:
    """Settings of two new databases, at each call."""
    with ExitStack() as stack:

        def make() -> Settings:
            name = f"restored_{len(made)}_{tmp_path.name}"[:60]
            made.append(name)
            urls = [postgres.create_database(f"{name}_{part}") for part in ("a", "b")]
            for part in ("a", "b"):
                stack.callback(_drop, postgres, f"{name}_{part}")
            return Settings.model_validate(
                {
                    **stored.model_dump(),
                    "database_url": urls[0],
                    "dagster_url": psycopg2_url(urls[1]),
                    "data_dir": tmp_path / f"other-{len(made)}",
                }
            )

        made: list[str] = []
        yield make


def _drop(postgres: EmbeddedPostgres, name: str) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def _rows(settings: Settings) -> dict[str, list[str]]:
    """Every row of the project's database, as text."""
    engine = create_database_engine(str(settings.database_url), settings)
    try:
        with engine.connect() as connection:
            return {
                table: sorted(
                    connection.scalars(text(f'SELECT CAST(t AS text) FROM "{table}" AS t'))
                )
                for table in GRANTS
                if table != "backups"
            }
    finally:
        engine.dispose()


def test_everything_comes_back(
    stored: Settings, target: Callable[[], Settings], engine: Engine, tmp_path: Path
) -> None:
    _, secret = create_token(engine, Role.DISPLAY, "a screen", display_id="AAAAA1")
    before = _rows(stored)
    made = back_up(stored, tmp_path / "backups")
    other = target()
    with Redis.from_url(str(other.redis_url)) as redis:
        redis.set("sorafeed:version:AAAAA1", "999")
        redis.set("another", "kept")
        manifest = restore(other, Path(made.folder))
        assert redis.keys("*") == [b"another"]
    assert manifest.made_at == made.made_at
    assert _rows(other) == before
    assert len(before["sora_posts"]) == 12
    restored = create_database_engine(str(other.database_url), other)
    found = find_token(restored, secret)
    assert found is not None
    assert found.display_id == "AAAAA1"
    with restored.connect() as connection:
        last = last_backup(connection)
    restored.dispose()
    assert last is not None
    assert last.made_at == made.made_at
    with open_instance(other) as instance:
        assert instance.get_dynamic_partitions("displays") == ["AAAAA1"]
        assert instance.get_latest_materialization_event(dg.AssetKey("playlists")) is not None


def test_nothing_is_given_to_dagster_between_the_two_moments(
    stored: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of both is that of one moment, though much is written while they are dumped."""
    dump = backup._dump

    def slow(*arguments: str) -> backup.DumpedFile:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM sora_posts"))
        return dump(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backup, "_dump", slow)
    made = back_up(stored, tmp_path / "backups")
    shown = _listing(Path(made.folder) / "sorafeed.dump", "sora_posts")
    assert len([line for line in shown if line.startswith("p_cat_video")]) == 12


def _listing(dump: Path, table: str) -> list[str]:
    done = subprocess.run(
        [str(postgres_program("pg_restore")), "--data-only", f"--table={table}", "--file=-", dump],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def _tear(folder: Path) -> None:
    file = folder / "dagster.dump"
    file.write_bytes(file.read_bytes()[:-100])


def _change(folder: Path) -> None:
    file = folder / "sorafeed.dump"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _remove(folder: Path) -> None:
    (folder / "sorafeed.dump").unlink()


def _rename(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _of_later_schema(folder: Path) -> None:
    _state(folder, revision="9999", version="7.0")


def _of_later_format(folder: Path) -> None:
    _state(folder, format=2)


def _of_later_server(folder: Path) -> None:
    _state(folder, postgres=250001)


def _state(folder: Path, **values: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_what_cannot_be_restored_is_refused_and_changes_nothing(
    stored: Settings, target: Callable[[], Settings], tmp_path: Path
) -> None:
    made = Path(back_up(stored, tmp_path / "backups").folder)
    other = target()
    for number, (break_, message) in enumerate(
        {
            _tear: "dagster.dump has .* it is torn",
            _change: "sorafeed.dump was changed",
            _remove: "is not a complete backup",
            _rename: "is not a complete backup",
            _of_later_schema: "schema 9999 is newer than this release; .* release 7.0",
            _of_later_format: "has the format 2",
            _of_later_server: "the backup is of PostgreSQL 25, and the server is 18",
        }.items()
    ):
        broken = tmp_path / f"broken-{number}"
        shutil.copytree(made, broken)
        break_(broken)
        with pytest.raises(SetupError, match=message):
            restore(other, broken)
    with psycopg.connect(str(other.database_url)) as connection:
        tables = connection.execute(
            "SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
        assert tables.rowcount == 0


def test_a_restore_that_fails_at_the_second_database_leaves_the_first(
    stored: Settings, engine: Engine, tmp_path: Path
) -> None:
    made = Path(back_up(stored, tmp_path / "backups").folder)
    with engine.begin() as connection:
        connection.execute(text("UPDATE displays SET name = 'changed since'"))
    before = _rows(stored)
    engine.dispose()
    # Whole by its checksum, but no dump.
    content = b"not a dump"
    (made / "dagster.dump").write_bytes(content)
    files = json.loads((made / "manifest.json").read_text())["files"]
    files["dagster.dump"] = {
        "bytes": len(content),
        "sha256": backup.checksum(made / "dagster.dump"),
    }
    _state(made, files=files)
    with pytest.raises(SetupError, match=r"pg_restore failed: .*; nothing was changed"):
        restore(stored, made, replace=True)
    assert _rows(stored) == before


def test_rows_are_replaced_only_when_told_and_never_under_a_program(
    stored: Settings, engine: Engine, tmp_path: Path
) -> None:
    made = Path(back_up(stored, tmp_path / "backups").folder)
    before = _rows(stored)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM displays"))
    with engine.connect() as playing:
        playing.execute(text("SELECT 1"))
        with pytest.raises(SetupError, match="other sessions use the database sorafeed; stop"):
            restore(stored, made, replace=True)
    engine.dispose()
    with pytest.raises(SetupError, match=r"is not empty: .* have rows; .* --replace"):
        restore(stored, made)
    restore(stored, made, replace=True)
    assert _rows(stored) == before


def test_as_many_as_told_are_kept_and_a_failed_one_leaves_nothing(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "another folder").mkdir()
    made = [back_up(stored, folder, keep=2) for _ in range(3)]
    assert [str(path) for path in backups_in(folder)] == [each.folder for each in made[1:]]

    def fails(*_arguments: object) -> backup.DumpedFile:
        raise SetupError("pg_dump failed: no space left on device")

    monkeypatch.setattr(backup, "_dump", fails)
    with pytest.raises(SetupError, match="no space"):
        back_up(stored, folder, keep=2)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["another folder", *(Path(each.folder).name for each in made[1:])]
    )


def test_a_pg_dump_that_is_older_than_the_server_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert backup.program_for("pg_dump", 180006) == str(postgres_program("pg_dump"))
    assert backup.program_for("pg_dump", 150001) == str(old)
    with pytest.raises(SetupError, match="pg_dump is of PostgreSQL 15, and the server is 25"):
        backup.program_for("pg_dump", 250000)

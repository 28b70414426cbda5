"""One owner of a folder at a time, and how other commands find it."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import pytest

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch import data_folder
from sorafeed_assets.launch.data_folder import Runtime
from sorafeed_assets.launch.embedded import EmbeddedPostgres

RUNTIME = Runtime(1, "postgresql://a/b", "postgresql+psycopg2://a/c", "redis://a/0")


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    assert data_folder.running(tmp_path) is None
    with data_folder.owned(tmp_path):
        with pytest.raises(SetupError, match="is using"):  # it has published nothing yet
            data_folder.running(tmp_path)
        data_folder.publish(tmp_path, RUNTIME)
        assert data_folder.running(tmp_path) == RUNTIME
        assert (tmp_path / "runtime.json").stat().st_mode & 0o777 == 0o600
        with (
            pytest.raises(SetupError, match="another sorafeed command"),
            data_folder.owned(tmp_path),
        ):
            pass
        assert data_folder.running(tmp_path) == RUNTIME
    assert data_folder.running(tmp_path) is None
    assert not (tmp_path / "runtime.json").exists()


def test_what_a_killed_owner_published_is_not_believed(tmp_path: Path) -> None:
    data_folder.publish(tmp_path, RUNTIME)
    (tmp_path / "up.lock").touch()
    assert data_folder.running(tmp_path) is None
    with data_folder.owned(tmp_path), pytest.raises(SetupError, match="is using"):
        data_folder.running(tmp_path)


def test_those_who_just_look_are_in_nobodys_way(tmp_path: Path) -> None:
    with (tmp_path / "up.lock").open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        done = Timer(0.1, lambda: fcntl.flock(looking, fcntl.LOCK_UN))
        done.start()
        with data_folder.owned(tmp_path):
            done.join()


def test_a_cluster_whose_making_was_interrupted_is_made_again(tmp_path: Path) -> None:
    part = tmp_path / "postgres" / "data.part"
    part.mkdir(parents=True)
    (part / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(tmp_path / "postgres", {"shared_buffers": "64MB", "fsync": "off"})
    server.start()
    assert server.create_database("x").endswith("/x")
    server.stop()
    assert not part.exists()


def test_a_folder_keeps_its_port_so_that_printed_addresses_stay_right(tmp_path: Path) -> None:
    urls = []
    # None prefers a port, and each gets another one of the system.
    for _command in range(2):
        server = EmbeddedPostgres(tmp_path / "postgres", {"shared_buffers": "64MB", "fsync": "off"})
        server.start()
        urls.append(server.url("x"))
        server.stop()
    assert urls[0] == urls[1]


def test_programs_that_look_at_a_folder_at_once_find_it_writable(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(data_folder.prepare, [folder] * 400)) == {folder.resolve()}
    assert list(folder.iterdir()) == []

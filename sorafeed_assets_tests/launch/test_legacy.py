"""Processes that follow: one leads, another takes over at its end; what waits for what."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from pydantic import PostgresDsn
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.legacy import LEASE, Follow
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import OldPost, old_database, scan


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    with old_database(postgres, "followed_twice") as url:
        yield url


@pytest.fixture
def file(tmp_path: Path) -> OldFile:
    return OldFile(tmp_path / "old.sqlite")


@pytest.fixture
def there(settings: Settings, old_url: str, file: OldFile) -> Settings:
    """Settings that name both sides."""
    return settings.model_copy(
        update={"legacy_catalog_url": PostgresDsn(old_url), "legacy_queues": file.path}
    )


@contextmanager
def _following(engine: Engine, there: Settings, number: int) -> Iterator[list[Follow]]:
    """Some that run; all are stopped at the end."""
    with Redis.from_url(str(there.redis_url)) as redis:
        running = [Follow(there, engine, redis) for _ in range(number)]
        threads = [Thread(target=each.run, daemon=True) for each in running]
        for thread in threads:
            thread.start()
        yield running
        for each in running:
            each.stop()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


def _posts(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(text("SELECT id FROM sora_posts")))


def _lease(engine: Engine) -> object:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT holder FROM leases WHERE name = :n"), {"n": LEASE})


def test_one_of_two_leads_until_it_ends(
    engine: Engine, old_url: str, there: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with _following(engine, there, 2) as followers:
        with psycopg.connect(old_url) as connection:
            scan(connection, [OldPost("first")])
        wait_until(lambda: _posts(engine) == {"first"}, "the first post")
        assert [each.is_leading for each in followers].count(True) == 1
        wait_until(lambda: "another process follows; this one waits" in caplog.text, "the line")
        leader, other = sorted(followers, key=lambda each: not each.is_leading)
        holder = _lease(engine)
        leader.stop()
        with psycopg.connect(old_url) as connection:
            scan(connection, [OldPost("second")])
        wait_until(lambda: _posts(engine) == {"first", "second"}, "the other one to take over")
        assert other.is_leading
        assert _lease(engine) not in {None, holder}
        other.stop()
        wait_until(lambda: _lease(engine) is None, "the lease to be released")
    assert caplog.text.count("another process follows") == 1


def test_the_queues_wait_for_the_first_copy_only(
    engine: Engine, old_url: str, there: Settings, file: OldFile, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is planned of a part of the catalogue; later each side is followed alone."""

    def displays() -> set[str]:
        with engine.connect() as connection:
            return set(connection.scalars(text("SELECT id FROM displays")))

    def rename(old: str, new: str) -> None:
        with psycopg.connect(old_url) as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}".encode())

    file.add_display("HALL01")
    rename("sora_posts", "away")
    with _following(engine, there, 1):
        # It has tried twice, for longer than the queues would have taken.
        wait_until(lambda: caplog.text.count("it has no table sora_posts") > 1, "its refusal")
        assert displays() == set()
        rename("away", "sora_posts")
        wait_until(lambda: displays() == {"HALL01"}, "the queues")
    rename("sora_posts", "away")
    file.add_display("HALL02")
    with _following(engine, there, 1):
        wait_until(lambda: displays() == {"HALL01", "HALL02"}, "the queues alone")


def test_a_file_that_is_torn_meanwhile_holds_up_nothing_but_the_queues(
    engine: Engine, old_url: str, there: Settings, file: OldFile, caplog: pytest.LogCaptureFixture
) -> None:
    def displays() -> set[str]:
        with engine.connect() as connection:
            return set(connection.scalars(text("SELECT id FROM displays")))

    def put(content: bytes) -> None:
        """Replace the file at once."""
        beside = file.path.with_suffix(".new")
        beside.write_bytes(content)
        beside.replace(file.path)

    file.add_display("HALL01")
    with _following(engine, there, 1):
        wait_until(lambda: displays() == {"HALL01"}, "the queues")
        later = OldFile(file.path.with_suffix(".later"))
        for code in ("HALL01", "HALL02"):
            later.add_display(code)
        whole = later.path.read_bytes()
        put(whole[: len(whole) // 2])
        wait_until(lambda: f"{file.path} is torn" in caplog.text, "its refusal")
        with psycopg.connect(old_url) as connection:
            scan(connection, [OldPost("first")])
        wait_until(lambda: _posts(engine) == {"first"}, "the post")
        assert displays() == {"HALL01"}
        put(whole)
        wait_until(lambda: displays() == {"HALL01", "HALL02"}, "the whole file")

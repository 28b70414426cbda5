"""Two processes that follow: one leads, and the other takes over at its end."""

from collections.abc import Iterator
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
def followers(
    engine: Engine, settings: Settings, old_url: str, tmp_path: Path
) -> Iterator[tuple[Follow, Follow]]:
    """Two that run; both are stopped at the end."""
    file = OldFile(tmp_path / "old.sqlite")
    there = settings.model_copy(
        update={"legacy_catalog_url": PostgresDsn(old_url), "legacy_queues": file.path}
    )
    with Redis.from_url(str(settings.redis_url)) as redis:
        both = (Follow(there, engine, redis), Follow(there, engine, redis))
        threads = [Thread(target=each.run, daemon=True) for each in both]
        for thread in threads:
            thread.start()
        yield both
        for each in both:
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
    engine: Engine, old_url: str, followers: tuple[Follow, Follow]
) -> None:
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("first")])
    wait_until(lambda: _posts(engine) == {"first"}, "the first post")
    assert [each.is_leading for each in followers].count(True) == 1
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

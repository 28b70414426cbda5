"""Following the old system by the login that `react` and the commands have in a deployment."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine, make_url

from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.legacy import catalog
from sorafeed_assets.services.legacy.cutover import Switch
from sorafeed_assets.services.legacy.export import export_plays
from sorafeed_assets.services.legacy.follow import copy_new_posts, import_changed_queues
from sorafeed_assets.services.legacy.reconcile import parts, reconcile
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.shadow.run import Shadow, compare_due
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.indexes import missing_indexes
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.postgres.roles import Group
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import add_old_posts
from sorafeed_assets_tests.roles import as_member


@pytest.fixture
def working(settings: Settings, database_url: str) -> Iterator[Engine]:
    """An engine of a login that may do everything but change the schema."""
    made = create_database_engine(as_member(database_url, Group.ENGINE), settings)
    yield made
    made.dispose()


@pytest.fixture
def settler(working: Engine, settings: Settings) -> Iterator[Settler]:
    with Redis.from_url(str(settings.redis_url)) as redis:
        yield Settler.of(working, redis, settings)


def test_it_may_do_all_of_the_way(
    working: Engine,
    settler: Settler,
    old: OldCatalog,
    old_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = add_old_posts(old_url, 12)
    file = OldFile(tmp_path / "old.sqlite")
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("commercial", 3)])
    file.add_play("HALL01", ids[0], "2026-03-02 10:00:00")
    # As a large one is copied: the indexes are another login's.
    monkeypatch.setattr(catalog, "_LARGE", 1)
    assert copy_new_posts(working, old).posts == 12
    assert "use the login of `sorafeed migrate` for a first load" in caplog.text
    with working.connect() as connection:
        assert missing_indexes(connection) == []
    run(working, "UPDATE sora_posts SET text = 'other' WHERE id = :id", id=ids[3])
    for expected in (1, 0):
        repaired = [reconcile(working, old, part).repaired for part in parts(working, old)]
        assert sum(repaired) == expected
    with working.begin() as connection:
        Flags(working).set_all(connection, DRIVER, "old", by="test", why="beside it")
    done = import_changed_queues(working, settler, file.path, with_posts=True)
    assert done is not None
    assert done.written["plays"] == 1

    shadow = Shadow(
        engine=working,
        catalog_url=old_url,
        queues=file.path,
        pool_size=500,
        share=1.0,
        statement_seconds=60,
        keep_days=90,
    )
    settler.apply_posts(catch_up=True)
    found = set(compare_due(shadow, Event()).outcomes)
    assert Outcome.SAME in found
    assert Outcome.UNEXPLAINED not in found

    timelines = TimelineService(working)
    switch = Switch(working, timelines, old_url, file.path)
    assert switch.check(["HALL01"], None).is_ready
    switch.switch(["HALL01"], None, by="test", why="over")
    settler.settle(["HALL01"])
    shown = timelines.playback.advance("HALL01", queue_of(working, "HALL01")[0].id)
    assert shown.video_id in ids
    assert export_plays(working, tmp_path / "plays.sqlite", old=file.path) == 1


@pytest.fixture
def migrating(postgres: EmbeddedPostgres, database_url: str) -> Iterator[Engine]:
    """An engine of the login that migrates, on a database that its group owns."""
    member = make_url(as_member(database_url, Group.MIGRATOR))
    postgres.create_database("owned_to_import")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("ALTER DATABASE owned_to_import OWNER TO sorafeed_migrator")
    address = member.set(database="owned_to_import").render_as_string(hide_password=False)
    made = create_database_engine(address, Settings())
    migrate(made)
    yield made
    made.dispose()
    postgres.drop_database("owned_to_import")


def test_a_login_that_owns_the_tables_builds_the_indexes_at_the_end(
    migrating: Engine, old: OldCatalog, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `follow` copies a large old catalogue for the first time, and `import` too."""
    add_old_posts(old_url, 12)
    monkeypatch.setattr(catalog, "_LARGE", 1)
    while_copying: list[list[str]] = []
    store = catalog._store_staged

    def stored(connection: object, old_: OldCatalog) -> catalog.Copied:
        with migrating.connect() as other:
            while_copying.append(missing_indexes(other))
        return store(connection, old_)  # type: ignore[arg-type]

    monkeypatch.setattr(catalog, "_store_staged", stored)
    assert copy_new_posts(migrating, old).posts == 12
    assert all(while_copying)
    with migrating.connect() as connection:
        assert missing_indexes(connection) == []

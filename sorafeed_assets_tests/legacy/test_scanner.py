"""The old scanner writes into the schema `scanner` by its own statements; its rows become ours."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets_tests.deploy.files import ROOT
from sorafeed_assets_tests.legacy.old_side import ADD_POST, OPTIONS, TABLES, OldPost, scan


@pytest.fixture
def scanner(database_url: str, engine: Engine) -> Iterator[psycopg.Connection]:
    """A scanner's connection: all that it is given is an address."""
    with psycopg.connect(f"{database_url}?{OPTIONS}%20-c%20TimeZone%3DAsia/Tokyo") as connection:
        # At each start it creates what is missing.
        connection.execute(TABLES)
        connection.commit()
        yield connection


def _all(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_its_rows_become_ours(engine: Engine, scanner: psycopg.Connection) -> None:
    posts = [
        OldPost("s_1", "ann", followers=1),
        OldPost("s_2", "ann", posted_at=0, size=(None, -1), followers=2),
        OldPost("s_3", "ben", text=None),
    ]
    scan(scanner, posts)
    assert _all(engine, "SELECT id FROM sora_posts") == []
    scanner.execute(
        "INSERT INTO scanner_stats (id, total_scanned) VALUES (1, 3)"
        " ON CONFLICT (id) DO UPDATE SET total_scanned = 3"
    )
    scanner.commit()
    scan(scanner, posts)
    scanner.commit()
    stored = _all(
        engine, "SELECT id, creator_id, posted_at, width, size_class FROM sora_posts ORDER BY id"
    )
    posted, epoch = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
    assert stored == [
        ("s_1", "ann", posted, 640, "wide"),
        ("s_2", "ann", epoch, None, "other"),
        ("s_3", "ben", posted, 640, "wide"),
    ]
    assert _all(engine, "SELECT id, follower_count, verified FROM creators ORDER BY id") == [
        ("ann", 2, False),
        ("ben", 5, False),
    ]
    assert _all(engine, "SELECT kind, count(*) FROM catalog_changes GROUP BY kind") == [
        ("insert", 3)
    ]
    ((indexed_at,),) = _all(engine, "SELECT min(indexed_at) FROM sora_posts")
    assert isinstance(indexed_at, datetime)
    # Its session is nine hours ahead of UTC.
    assert abs(datetime.now(UTC) - indexed_at) < timedelta(hours=1)


def test_a_post_that_was_copied_stays_as_it_is(engine: Engine, scanner: psycopg.Connection) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, indexed_at)"
                " VALUES ('s_1', 'copied', '2026-02-01', '2026-02-01')"
            )
        )
    scan(scanner, [OldPost("s_1"), OldPost("s_2")])
    scanner.commit()
    assert _all(engine, "SELECT id, text FROM sora_posts ORDER BY id") == [
        ("s_1", "copied"),
        ("s_2", "A commercial about tea"),
    ]


def test_what_is_rolled_back_there_is_not_here(engine: Engine, scanner: psycopg.Connection) -> None:
    scan(scanner, [OldPost("s_1")])
    scanner.rollback()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        scanner.execute(ADD_POST, ["s_2", "nobody", "x", 0, "https://x", *[None] * 8])
    scanner.rollback()
    assert _all(engine, "SELECT id FROM sora_posts") == []
    assert _all(engine, "SELECT id FROM creators") == []


def test_the_docs_name_the_address_that_is_tested() -> None:
    assert f"`postgresql://…/sorafeed?{OPTIONS}`" in (ROOT / "docs/migration.md").read_text()


def test_all_that_it_creates_is_in_its_schema(engine: Engine, scanner: psycopg.Connection) -> None:
    created = _all(
        engine,
        "SELECT relname FROM pg_class WHERE relnamespace = 'scanner'::regnamespace"
        " AND relkind IN ('r', 'i') AND relname ~ '^(idx_|scanner_stats$)' ORDER BY 1",
    )
    assert [name for (name,) in created] == sorted(
        re.findall(r"EXISTS (idx_\w+|scanner_stats) [O(]", TABLES)
    )
    assert len(created) == 6

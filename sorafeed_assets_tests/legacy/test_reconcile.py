"""Each part of the catalogue is compared, and what differs is copied again."""

from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.services.legacy.catalog import OVERLAP, follow_catalog, import_catalog
from sorafeed_assets.services.legacy.reconcile import due_part, parts, reconcile
from sorafeed_assets.storage.legacy.comparisons import Comparison, read_comparisons
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog
from sorafeed_assets_tests.legacy.old_side import OldPost, add_old_posts, scan, set_indexed


@pytest.fixture
def copied(engine: Engine, old: OldCatalog, old_url: str) -> list[str]:
    """Three days of posts, copied; odd values are in them."""
    ids = [post for day in range(3) for post in add_old_posts(old_url, 6, day=day)]
    with psycopg.connect(old_url) as connection:
        odd = 'a "quoted", (odd)\\ text\n\twith 🎬 and ’'
        scan(connection, [OldPost("odd", "odd", odd, 0, (None, -1)), OldPost("none", text=None)])
        set_indexed(connection, ["odd", "none"], datetime(2026, 3, 2, 23, 59, 59, 1, tzinfo=UTC))
        scan(connection, [OldPost("undated")])
        set_indexed(connection, ["undated"], None)
    import_catalog(engine, old, lambda *_: None)
    return ids


def _reconcile(engine: Engine, old: OldCatalog) -> list[Comparison]:
    """The comparisons that found a difference."""
    found = [reconcile(engine, old, part) for part in parts(engine, old)]
    return [each for each in found if each.repaired or each.only_here]


def test_equal_sides_differ_in_nothing(engine: Engine, old: OldCatalog, copied: list[str]) -> None:
    assert [part.name for part in parts(engine, old)] == [
        *("creators", "undated", "2026-03-01", "2026-03-02", "2026-03-03"),
    ]
    assert _reconcile(engine, old) == []
    with engine.connect() as connection:
        rows = {each.part: (each.old_rows, each.our_rows) for each in read_comparisons(connection)}
    assert rows["2026-03-02"] == (8, 8)
    assert rows["creators"] == (8, 8)


def test_a_post_of_a_clock_that_was_wrong_adds_one_day_not_all_between(
    engine: Engine, old: OldCatalog, old_url: str
) -> None:
    add_old_posts(old_url, 2, day=0)
    add_old_posts(old_url, 2, prefix="late", day=2)
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("early")])
        set_indexed(connection, ["early"], datetime(1970, 6, 1, 0, 0, 7, tzinfo=UTC))
    import_catalog(engine, old, lambda *_: None)
    assert [part.name for part in parts(engine, old)] == [
        *("creators", "undated", "1970-06-01", "2026-03-01", "2026-03-03"),
    ]
    assert _reconcile(engine, old) == []


def test_what_differs_is_copied_again(
    engine: Engine, old: OldCatalog, old_url: str, copied: list[str]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM sora_posts WHERE id = :id"), {"id": copied[0]})
        connection.execute(
            text("UPDATE sora_posts SET text = 'other' WHERE id = :id"), {"id": copied[1]}
        )
        connection.execute(text("UPDATE creators SET follower_count = 9 WHERE id = 'odd'"))
        connection.execute(text("DELETE FROM creators WHERE id = 'c1'"))
        connection.execute(text("DELETE FROM sora_posts WHERE id = 'undated'"))
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, posted_at, indexed_at)"
                " VALUES ('ours', now(), '2026-03-03 13:00+00')"
            )
        )
    with psycopg.connect(old_url) as old_side:
        # It became visible after the overlap, and another one was moved to another day.
        scan(old_side, [OldPost("very_late")])
        set_indexed(old_side, ["very_late"], datetime(2026, 3, 2, 1, tzinfo=UTC))
        set_indexed(old_side, [copied[2]], datetime(2026, 3, 3, 1, tzinfo=UTC))
    found = {
        each.part: (each.missing, each.changed, each.only_here) for each in _reconcile(engine, old)
    }
    assert found == {
        "creators": (1, 1, 0),
        "undated": (0, 1, 0),
        "2026-03-01": (1, 1, 1),
        "2026-03-02": (1, 0, 0),
        "2026-03-03": (1, 0, 1),
    }
    again = _reconcile(engine, old)
    assert [(each.part, each.repaired, each.only_here) for each in again] == [("2026-03-03", 0, 1)]


def test_the_day_of_the_cursor_is_compared_up_to_it(
    engine: Engine, old: OldCatalog, old_url: str, copied: list[str]
) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("older"), OldPost("newer")])
        set_indexed(connection, ["older"], now - OVERLAP)
        connection.commit()
        follow_catalog(engine, old)
        # Written, but not copied yet: no difference.
        scan(connection, [OldPost("next")])
        connection.commit()
    assert _reconcile(engine, old) == []


def test_every_part_is_due_once_a_day(engine: Engine, old: OldCatalog, copied: list[str]) -> None:
    for _ in range(5):
        part = due_part(engine, old)
        assert part is not None
        reconcile(engine, old, part)
    assert due_part(engine, old) is None
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE legacy_comparisons SET compared_at = now() - interval '25 hours'"
                " WHERE part = '2026-03-02'"
            )
        )
    due = due_part(engine, old)
    assert due is not None
    assert due.name == "2026-03-02"

"""The old catalogue is copied once, followed, and nothing is copied twice or missed."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.legacy import catalog
from sorafeed_assets.services.legacy.catalog import OVERLAP, follow_catalog, import_catalog
from sorafeed_assets.services.legacy.follow import continue_copy, copy_new_posts
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog
from sorafeed_assets.storage.postgres.indexes import missing_indexes
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.legacy.old_side import (
    START,
    OldPost,
    add_old_posts,
    scan,
    set_indexed,
)


def _quiet(_step: str, _done: int, _total: int) -> None:
    pass


def _ids(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT id FROM sora_posts ORDER BY id")))


def _noted(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM catalog_changes")) or 0


def test_everything_is_copied_once(engine: Engine, old: OldCatalog, old_url: str) -> None:
    ids = add_old_posts(old_url, 53)
    with psycopg.connect(old_url) as connection:
        # Many posts of one transaction, and ids that locales order differently than bytes.
        odd = ["S_upper", "s-dash", "s_a", "s_B", "ä", "z", "Z"]
        scan(connection, [OldPost(name) for name in odd])
        set_indexed(connection, odd, START)
    steps: list[tuple[str, int, int]] = []
    copied = import_catalog(engine, old, lambda *step: steps.append(step), chunk=4)
    assert copied.posts == 60
    assert copied.creators == 8
    assert _ids(engine) == sorted(ids + odd)
    assert _noted(engine) == 60
    assert [done for step, done, _ in steps if step == "Copying posts"][-1] == 60
    assert import_catalog(engine, old, _quiet, chunk=4).posts == 0
    assert _noted(engine) == 60


def test_an_interrupted_copy_goes_on(engine: Engine, old: OldCatalog, old_url: str) -> None:
    ids = add_old_posts(old_url, 30)

    def stop(step: str, done: int, _total: int) -> None:
        if step == "Copying posts" and done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_catalog(engine, old, stop, chunk=4)
    assert len(_ids(engine)) == 12
    assert import_catalog(engine, old, _quiet, chunk=4).posts == 18
    assert _ids(engine) == sorted(ids)
    assert _noted(engine) == 30


def test_a_copy_that_goes_on_builds_its_indexes_at_the_end(
    engine: Engine, old: OldCatalog, old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "_LARGE", 0)
    add_old_posts(old_url, 30)
    missing: list[int] = []

    def note(step: str, done: int, _total: int) -> None:
        if step == "Copying posts":
            with engine.connect() as connection:
                missing.append(len(missing_indexes(connection)))
            if done == 12 and len(missing) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_catalog(engine, old, note, chunk=4)
    migrate(engine, with_indexes=False)
    assert import_catalog(engine, old, note, chunk=4).posts == 18
    assert missing == [6] * 8
    with engine.connect() as connection:
        assert missing_indexes(connection) == []


def test_a_follower_builds_the_indexes_that_a_killed_copy_has_left_out(
    engine: Engine, old: OldCatalog, old_url: str
) -> None:
    add_old_posts(old_url, 5)
    import_catalog(engine, old, _quiet)

    def missing() -> list[str]:
        with engine.connect() as connection:
            return missing_indexes(connection)

    with engine.begin() as connection:
        connection.execute(text("DROP INDEX sora_posts_search_idx"))
    # Each second it only looks for posts.
    copy_new_posts(engine, old)
    assert missing() == ["sora_posts_search_idx"]
    continue_copy(engine, old, _quiet)
    assert missing() == []


def test_a_lost_connection_leaves_whole_chunks(
    engine: Engine, old: OldCatalog, old_url: str
) -> None:
    add_old_posts(old_url, 30)

    def cut(step: str, done: int, _total: int) -> None:
        if step == "Copying posts" and done >= 8:
            with psycopg.connect(old_url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    with pytest.raises(UnavailableError, match=r"the old catalogue at 127\.0\.0\.1:"):
        import_catalog(engine, old, cut, chunk=4)
    assert len(_ids(engine)) == 8


def test_what_the_scanner_writes_later_is_followed(
    engine: Engine, old: OldCatalog, old_url: str
) -> None:
    add_old_posts(old_url, 5)
    import_catalog(engine, old, _quiet)
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("new_1", "c1", followers=77), OldPost("new_2", "newcomer")])
    copied = follow_catalog(engine, old)
    assert (copied.posts, copied.creators) == (2, 2)
    assert follow_catalog(engine, old).posts == 0
    with engine.connect() as connection:
        followers = connection.scalar(text("SELECT follower_count FROM creators WHERE id = 'c1'"))
    assert followers == 77


def test_posts_that_become_visible_late_are_not_missed(
    engine: Engine, old: OldCatalog, old_url: str
) -> None:
    with psycopg.connect(old_url) as slow, psycopg.connect(old_url) as quick:
        scan(slow, [OldPost("late", "slow")])
        scan(quick, [OldPost("early", "quick")])
        quick.commit()
        import_catalog(engine, old, _quiet)
        assert _ids(engine) == ["early"]
        slow.commit()
    follow_catalog(engine, old)
    assert _ids(engine) == ["early", "late"]


def test_the_safe_point_waits_for_open_transactions(old: OldCatalog, old_url: str) -> None:
    none = timedelta(0)
    with psycopg.connect(old_url) as slow:
        row = slow.execute("SELECT now()").fetchone()
        assert row is not None
        assert old.safe_point(none) == row[0]
    before = datetime.now(UTC) - timedelta(seconds=30)
    assert old.safe_point(none) > before
    assert old.safe_point(OVERLAP) < before


def test_a_post_of_the_future_is_copied_once(engine: Engine, old: OldCatalog, old_url: str) -> None:
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("future")])
        set_indexed(connection, ["future"], datetime(2090, 1, 1, tzinfo=UTC))
    import_catalog(engine, old, _quiet)
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("now")])
    follow_catalog(engine, old)
    assert _ids(engine) == ["future", "now"]
    assert _noted(engine) == 2


def test_odd_values_follow_the_rules(engine: Engine, old: OldCatalog, old_url: str) -> None:
    posts = [
        OldPost("no_time", posted_at=0),
        OldPost("milliseconds", posted_at=1_772_366_400_000),
        OldPost("before", posted_at=-5),
        OldPost("no_size", size=(None, 0)),
        OldPost("minus", size=(-1, 352)),
        OldPost("no_text", text=None),
        OldPost("odd_text", text="tab\t newline\n back\\slash \\N \\u0000 \x01 \ufffd “quoted” 🎬"),
        OldPost("undated"),
        OldPost("endless"),
    ]
    with psycopg.connect(old_url) as connection:
        scan(connection, posts)
        set_indexed(connection, ["undated"], None)
        connection.execute("UPDATE sora_posts SET indexed_at = 'infinity' WHERE id = 'endless'")
    assert import_catalog(engine, old, _quiet).posts == len(posts)
    with engine.connect() as connection:
        rows = {
            row.id: row
            for row in connection.execute(
                text("SELECT id, text, posted_at, width, height, indexed_at FROM sora_posts")
            )
        }
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    posted = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for name in ("no_time", "milliseconds", "before"):
        assert rows[name].posted_at == epoch
    assert rows["no_text"].posted_at == posted
    assert (rows["no_size"].width, rows["no_size"].height) == (None, None)
    assert (rows["minus"].width, rows["minus"].height) == (None, 352)
    assert rows["no_text"].text is None
    assert rows["odd_text"].text == posts[6].text
    assert rows["undated"].indexed_at == rows["endless"].indexed_at == epoch
    noted = _noted(engine)
    assert import_catalog(engine, old, _quiet).posts == 0
    assert _noted(engine) == noted


def test_the_old_side_cannot_be_written(old: OldCatalog) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        old._connection.execute("DELETE FROM sora_posts")

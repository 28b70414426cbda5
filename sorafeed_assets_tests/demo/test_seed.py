"""Seeding a real database: rows are stored as generated, and repeating it is harmless."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text

from sorafeed_assets.demo.catalogue import Post, generate_day, posts_of_day
from sorafeed_assets.demo.playlists import demo_playlist
from sorafeed_assets.demo.seed import SeedSummary, seed_catalog, seed_displays
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.playlists.displays import create_display
from sorafeed_assets.services.playlists.editing import list_playlists
from sorafeed_assets.storage.playlists.rows import load_playlists
from sorafeed_assets.storage.postgres.tables import sora_posts
from sorafeed_assets_tests.wall import activate_pending

_FIRST = date(2026, 1, 1)
_UNTIL = date(2026, 3, 1)


def _seed(
    engine: Engine, posts: int = 520, until: date = _UNTIL, first: date = _FIRST
) -> SeedSummary:
    return seed_catalog(engine, posts=posts, until=until, first_day=first)


def _stored(engine: Engine, day: date) -> list[Post]:
    columns = [sora_posts.c[name] for name in Post._fields]
    with engine.connect() as connection:
        rows = connection.execute(
            select(*columns)
            .where(func.catalog_day(sora_posts.c.indexed_at) == day)
            .order_by(sora_posts.c.indexed_at)
        )
        return [Post(*row) for row in rows]


def test_every_row_arrives_as_it_was_generated(engine: Engine) -> None:
    summary = _seed(engine, 13_000)
    assert (summary.posts, summary.days, summary.inserted) == (13_000, 26, 13_000)
    expected = list(generate_day(_UNTIL, posts_of_day(_UNTIL, 13_000, 26), 1))
    for wanted in ("\t", "\n", "\\", "“"):
        assert any(wanted in post.text for post in expected)
    assert _stored(engine, _UNTIL) == expected
    with engine.connect() as connection:
        orphans = connection.scalar(
            text("""
            SELECT count(*) FROM sora_posts p
            WHERE NOT EXISTS (SELECT FROM creators c WHERE c.id = p.creator_id)""")
        )
        changes = connection.scalar(text("SELECT count(*) FROM catalog_changes"))
    assert (orphans, changes) == (0, 13_000)


def test_seeding_again_inserts_nothing(engine: Engine) -> None:
    _seed(engine)
    told: list[tuple[int, int]] = []
    again = seed_catalog(
        engine,
        posts=520,
        until=_UNTIL,
        first_day=_FIRST,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert (again.posts, again.inserted) == (520, 0)
    assert len(told) == 26
    assert told[-1] == (520, 520)


def test_two_at_once_load_everything_once(engine: Engine) -> None:
    with ThreadPoolExecutor(2) as pool:
        seeding = [pool.submit(_seed, engine) for _ in range(2)]
        assert sum(one.result().inserted for one in seeding) == 520


def test_missing_posts_come_back_and_edited_ones_stay(engine: Engine) -> None:
    _seed(engine)
    gone, edited = (post.id for post in list(generate_day(_UNTIL, 20, 1))[:2])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM sora_posts WHERE id = :id"), {"id": gone})
        connection.execute(text("UPDATE sora_posts SET text = 'x' WHERE id = :id"), {"id": edited})
    assert _seed(engine).inserted == 1
    stored = {post.id: post.text for post in _stored(engine, _UNTIL)}
    assert gone in stored
    assert stored[edited] == "x"


def test_a_day_of_which_only_the_beginning_is_gone_is_completed(engine: Engine) -> None:
    _seed(engine, 26 * 300)
    with engine.begin() as connection:
        for post in list(generate_day(_UNTIL, 300, 1))[:150]:
            connection.execute(text("DELETE FROM sora_posts WHERE id = :id"), {"id": post.id})
    assert _seed(engine, 26 * 300).inserted == 150
    assert _stored(engine, _UNTIL) == list(generate_day(_UNTIL, 300, 1))


def test_the_next_day_adds_only_its_own(engine: Engine) -> None:
    _seed(engine)
    later = _seed(engine, until=_UNTIL + timedelta(days=1))
    assert later.inserted == posts_of_day(_UNTIL + timedelta(days=1), 520, 26)


def test_up_to_a_time_no_post_is_later_and_an_hour_later_only_its_own_come(engine: Engine) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for time in (noon, noon + timedelta(hours=1), noon):
        summary = seed_catalog(engine, posts=520, until=time, first_day=_FIRST)
        assert (summary.posts, summary.days) == (520, 27)
    whole = list(generate_day(_UNTIL, posts_of_day(_UNTIL, 520, 26), 1))
    stored = _stored(engine, _UNTIL)
    assert stored == [post for post in whole if post.indexed_at <= noon + timedelta(hours=1)]
    assert 0 < len(stored) < len(whole)
    days = [_UNTIL - timedelta(days=back) for back in range(27)]
    at_noon = sum(post.indexed_at <= noon for post in stored)
    assert sum(len(_stored(engine, day)) for day in days) == 520 + len(stored) - at_noon


def test_days_before_the_first_are_left_out(engine: Engine) -> None:
    summary = _seed(engine, first=_UNTIL - timedelta(days=1))
    assert (summary.posts, summary.days, summary.inserted) == (40, 2, 40)
    assert not _stored(engine, _UNTIL - timedelta(days=2))


@pytest.mark.parametrize(
    ("posts", "seed", "until", "days", "field"),
    [
        (0, 1, _UNTIL, 26, "posts"),
        (1, -1, _UNTIL, 26, "seed"),
        (1, 1, _UNTIL, 0, "days"),
        (1, 1, date(2025, 1, 1), 26, "until"),
    ],
)
def test_bad_numbers_are_refused(
    engine: Engine, posts: int, seed: int, until: date, days: int, field: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        seed_catalog(engine, posts=posts, seed=seed, until=until, first_day=_FIRST, days=days)
    assert caught.value.field == field


def test_displays_get_playlists_and_existing_ones_stay(engine: Engine) -> None:
    create_display(engine, "DEMO02", "Lobby")
    assert seed_displays(engine, displays=12) == 11
    assert seed_displays(engine, displays=12) == 0
    assert list_playlists(engine, "DEMO02") == []
    with engine.connect() as connection:
        [first] = load_playlists(connection, ["DEMO01"])
        totals = connection.execute(
            text("SELECT total_blocks, total_videos FROM playlists WHERE display_id = 'DEMO01'")
        ).one()
    assert [block.search_term for block in first.blocks] == [
        draft.search_term for draft in demo_playlist(1, 1)
    ]
    assert tuple(totals) == (12, 52)
    assert sum(a.changed for a in activate_pending(engine).values()) == 11


@pytest.mark.parametrize("displays", [-1, 10_001])
def test_a_bad_number_of_displays_is_refused(engine: Engine, displays: int) -> None:
    with pytest.raises(InvalidInputError, match="displays"):
        seed_displays(engine, displays=displays)

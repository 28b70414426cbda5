"""Refreshing counts: which changes are applied, in which way, and what a failure leaves."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.services.counts import refresh as counting
from sorafeed_assets.services.counts.pools import refresh_candidates, sample_pools
from sorafeed_assets.services.counts.reads import (
    counts_status,
    counts_versions,
    dirty_days,
    pending_changes,
    sample_recount,
    stale_counts,
    term_totals,
)
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import unwatch_term, watch_term
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets_tests.services.counts.exact import POOL, assert_exact
from sorafeed_assets_tests.wall import START, add_posts


def test_unknown_is_never_zero(engine: Engine) -> None:
    add_posts(engine, "cat", 2)
    watch_term(engine, "Cat")
    watch_term(engine, "no such thing")
    refresh_totals(engine)
    assert term_totals(engine) == {}
    status = counts_status(engine)
    assert (status.posts, status.terms, status.fresh, status.stale) == (2, 2, 0, 6)
    refresh = refresh_days(engine, [], pool_size=POOL)
    assert (refresh.terms_counted, refresh.changes, refresh.posts_read) == (2, 2, 2)
    refresh_totals(engine)
    assert term_totals(engine)["no such thing", "mixed"] == 0
    assert term_totals(engine)["cat", "wide"] == 2
    assert counts_status(engine).stale == 0


def test_only_the_days_asked_for_are_refreshed(engine: Engine) -> None:
    watch_term(engine, "cat")
    refresh_days(engine, None, pool_size=POOL)
    add_posts(engine, "cat", 2, day=0)
    add_posts(engine, "cat", 3, day=2)
    first, third = START.date(), START.date() + timedelta(days=2)
    assert dirty_days(engine) == (first, third)
    assert refresh_days(engine, [third], pool_size=POOL).days == (third,)
    assert dirty_days(engine) == (first,)
    refresh_totals(engine)
    assert term_totals(engine)["cat", "mixed"] == 3


def test_few_changes_are_applied_as_differences(engine: Engine) -> None:
    watch_term(engine, "cat")
    add_posts(engine, "cat", 20)
    assert refresh_days(engine, None, pool_size=POOL).posts_read == 20
    add_posts(engine, "cat", 5, prefix="more")
    refresh = refresh_days(engine, None, pool_size=POOL)
    assert (refresh.posts_read, refresh.changes, refresh.recounted_days) == (0, 5, ())
    assert_exact(engine)


def test_many_changes_are_applied_in_batches(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_CHANGES_AT_ONCE", 3)
    watch_term(engine, "cat")
    watch_term(engine, "cat -number")
    for day in range(4):
        add_posts(engine, "cat", 3 + day, day=day)
    refresh_days(engine, None, pool_size=100)
    with engine.begin() as connection:
        connection.execute(
            text(  # to other days, earlier and later ones, and to other texts
                "UPDATE sora_posts SET indexed_at = indexed_at"
                " + CASE WHEN indexed_at < '2026-03-02' THEN interval '3 days'"
                " ELSE interval '-1 day' END,"
                " text = CASE WHEN id LIKE '%1' THEN 'a cat' ELSE text END"
            )
        )
    refresh = refresh_days(engine, None, pool_size=100)
    assert (refresh.recounted_days, refresh.posts_read) == ((), 0)
    assert refresh.changes == 36  # each leaves a day and enters another
    refresh_totals(engine)
    samples = sample_recount(engine, seed=0, size=5)
    assert [s.stored for s in samples] == [s.recounted for s in samples]
    assert {s.stored for s in samples if s.term == "cat -number"} == {4, 0}
    # Pools that are not full hold every match, whichever batch moved it.
    assert all(s.is_equal for s in sample_pools(engine, seed=0, size=5, pool_size=100))


def test_very_many_changes_are_read_from_the_text(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MANY_CHANGES", 4)
    watch_term(engine, "cat")
    add_posts(engine, "cat", 20)
    refresh_days(engine, None, pool_size=POOL)
    add_posts(engine, "cat", 5, prefix="more")
    assert refresh_days(engine, None, pool_size=POOL).recounted_days == (START.date(),)
    assert_exact(engine)


def test_a_rare_term_is_counted_by_the_index_when_posts_are_many(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)"
                " SELECT 'n' || n, 'post of ' || md5(n::text), :at, :at, 640, 352"
                " FROM generate_series(1, 20000) n"
            ),
            {"at": START},
        )
    refresh_days(engine, None, pool_size=POOL)
    add_posts(engine, "rare zebra", 4)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE sora_posts"))
    watch_term(engine, "rare zebra")
    refresh = refresh_days(engine, None, pool_size=POOL)
    assert (refresh.terms_counted, refresh.posts_read) == (1, 0)
    assert_exact(engine)


def test_uncommitted_posts_are_counted_once_when_they_come(engine: Engine) -> None:
    watch_term(engine, "cat")
    refresh_days(engine, None, pool_size=POOL)
    with engine.begin() as scanner:
        scanner.execute(
            text("INSERT INTO sora_posts (id, text, posted_at, indexed_at) VALUES"
                 " ('slow', 'cat', :at, :at)"), {"at": START},
        )  # fmt: skip
        add_posts(engine, "cat", 2)  # later in the outbox, committed earlier
        refresh_days(engine, None, pool_size=POOL)
        refresh_totals(engine)
        assert term_totals(engine)["cat", "mixed"] == 2
    refresh_days(engine, None, pool_size=POOL)
    refresh_totals(engine)
    assert term_totals(engine)["cat", "mixed"] == 3


def test_a_failure_leaves_everything_as_it_was(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_term(engine, "cat")
    add_posts(engine, "cat", 4)
    refresh_days(engine, None, pool_size=POOL)
    add_posts(engine, "cat", 3, prefix="more")
    before = pending_changes(engine), counts_versions(engine, [START.date()])

    def fail(*_arguments: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr("sorafeed_assets.storage.counts.daily.mark_counted", fail)
        with pytest.raises(ConnectionError):
            refresh_days(engine, None, pool_size=POOL)
    assert (pending_changes(engine), counts_versions(engine, [START.date()])) == before
    refresh_days(engine, None, pool_size=POOL)
    assert_exact(engine)


def test_totals_are_written_only_when_they_differ(engine: Engine) -> None:
    watch_term(engine, "cat")
    add_posts(engine, "cat", 4)
    refresh_days(engine, None, pool_size=POOL)
    first = refresh_totals(engine)
    assert (first.changed, first.rows) == (True, 3)
    second = refresh_totals(engine)
    assert (second.changed, second.data_version) == (False, first.data_version)


def test_pools_follow_their_size(engine: Engine) -> None:
    watch_term(engine, "cat")
    add_posts(engine, "cat", 9)
    refresh_days(engine, None, pool_size=POOL)
    small = refresh_candidates(engine, pool_size=POOL)
    assert (small.terms_changed, small.rows) == (0, 2 * POOL)
    large = refresh_candidates(engine, pool_size=5)
    assert (large.terms_changed, large.rows) == (1, 10)
    assert refresh_candidates(engine, pool_size=POOL).data_version == small.data_version


def test_samples_find_planted_faults(engine: Engine) -> None:
    watch_term(engine, "cat")
    add_posts(engine, "cat", 9)
    refresh_days(engine, None, pool_size=POOL)
    refresh_totals(engine)
    assert all(s.stored == s.recounted for s in sample_recount(engine, seed=1, size=5))
    assert all(s.is_equal for s in sample_pools(engine, seed=1, size=5, pool_size=POOL))
    with engine.begin() as connection:
        connection.execute(text("UPDATE video_counts_daily SET count = count + 1"))
        connection.execute(text("DELETE FROM video_candidates WHERE pool = 'random'"))
    refresh_totals(engine)
    assert [(s.format, s.stored, s.recounted) for s in sample_recount(engine, seed=1, size=5)] == [
        ("mixed", 10, 9), ("wide", 10, 9), ("tall", 0, 0),
    ]  # fmt: skip
    wrong = [s.pool for s in sample_pools(engine, seed=1, size=5, pool_size=POOL) if not s.is_equal]
    assert wrong == ["random"]


def test_what_waits_too_long_is_named(engine: Engine) -> None:
    watch_term(engine, "cat")
    add_posts(engine, "cat", 1)
    assert stale_counts(engine, older_than_hours=1) == []
    problems = stale_counts(engine, older_than_hours=-1)
    assert len(problems) == 2
    assert any(START.date().isoformat() in problem for problem in problems)


def test_a_watched_term_is_dropped_by_hand(engine: Engine) -> None:
    assert watch_term(engine, "  Some THING ") == "some thing"
    assert unwatch_term(engine, "some thing") == "some thing"

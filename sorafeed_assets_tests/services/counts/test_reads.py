"""Counts and pools equal direct queries after any history."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import Format, SizeClass, parse_query
from sorafeed_assets.domain.counts.pools import POOLS
from sorafeed_assets.services.counts import refresh as counting
from sorafeed_assets.services.counts.pools import refresh_candidates, sample_pools
from sorafeed_assets.services.counts.reads import (
    count_posts,
    counts_status,
    counts_versions,
    day_versions,
    dirty_days,
    pending_changes,
    refresh_days,
    sample_recount,
    stale_counts,
    term_totals,
    uncounted_terms,
)
from sorafeed_assets.services.counts.terms import unwatch_term, watch_term
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters
from sorafeed_assets.storage.counts.pools import PoolKey, first_matching, pool_posts
from sorafeed_assets_tests.wall import START, add_posts

POOL = 2
_TERMS = ["cat", "cat -dog", "dog", "a", "50%", "é b", "no such"]
_texts = (
    st.lists(
        st.sampled_from(["cat", "Dog", "CAT dog", "50%", "50 x", "É b", "b", "\n", "😀"]),
        max_size=4,
    ).map(" ".join)
    | st.none()
)
_sizes = st.sampled_from([(640, 352), (352, 640), (5, 5), (None, 5), (0, 5)])
_days = st.integers(0, 3)


def _direct(engine: Engine, term: str) -> dict[str, int]:
    shapes = {Format.MIXED: None, Format.WIDE: "wide", Format.TALL: "tall"}
    with engine.connect() as connection:
        return {
            format_.value: connection.execute(
                text(
                    f"SELECT count(*) FROM sora_posts WHERE {MATCHES}"
                    " AND (CAST(:shape AS text) IS NULL OR size_class = :shape)"
                ),
                {"shape": shape, **match_parameters(parse_query(term))},
            ).scalar_one()
            for format_, shape in shapes.items()
        }


def _assert_exact(engine: Engine) -> None:
    refresh_totals(engine)
    totals = term_totals(engine)
    for term in sorted({term for term, _ in totals}):
        stored = {format_.value: totals[term, format_.value] for format_ in Format}
        assert stored == _direct(engine, term), term
        for shape in SizeClass:
            for pool in POOLS:
                key = PoolKey(term, shape.value, pool)
                with engine.connect() as connection:
                    expected = first_matching(connection, key, parse_query(term), POOL)
                    assert pool_posts(connection, key) == set(expected), key


class _Catalog(RuleBasedStateMachine):
    """Posts are added, edited and deleted, terms added and dropped, with refreshes in between."""

    engine: Engine
    posts = Bundle("posts")

    @initialize()
    def empty(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM sora_posts"))
            connection.execute(text("DELETE FROM search_terms"))
            connection.execute(text("DELETE FROM catalog_changes"))
            connection.execute(text("DELETE FROM catalog_days"))
        self.number = 0

    @rule(target=posts, body=_texts, size=_sizes, day=_days, minute=st.integers(0, 3))
    def insert_one(self, body: str | None, size: tuple[int, int], day: int, minute: int) -> str:
        return self._insert(body, size, day, minute)

    def _insert(self, body: str | None, size: tuple[int, int], day: int, minute: int) -> str:
        self.number += 1
        post = f"s_{self.number:03}"
        moment = START + timedelta(days=day, minutes=minute)
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)"
                    " VALUES (:id, :text, :at, :at, :width, :height)"
                ),
                {"id": post, "text": body, "at": moment, "width": size[0], "height": size[1]},
            )
        return post

    @rule(target=posts, body=_texts, size=_sizes, day=_days)
    def insert_several(self, body: str | None, size: tuple[int, int], day: int) -> object:
        return multiple(*(self._insert(body, size, day, minute) for minute in range(2 * POOL)))

    @rule(post=posts, body=_texts, size=_sizes)
    def edit(self, post: str, body: str | None, size: tuple[int, int]) -> None:
        self._update("text = :text, width = :width, height = :height", post,
                     text=body, width=size[0], height=size[1])  # fmt: skip

    @rule(post=posts, day=_days)
    def move(self, post: str, day: int) -> None:
        self._update("indexed_at = :at, posted_at = :at", post, at=START + timedelta(days=day))

    @rule(post=posts)
    def delete(self, post: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM sora_posts WHERE id = :id"), {"id": post})

    def _update(self, changes: str, post: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                text(f"UPDATE sora_posts SET {changes} WHERE id = :id"), {"id": post, **values}
            )

    @rule(term=st.sampled_from(_TERMS))
    def watch(self, term: str) -> None:
        watch_term(self.engine, term)

    @rule(term=st.sampled_from(_TERMS))
    def forget(self, term: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM search_terms WHERE term = :term"), {"term": term})

    @rule(day=_days)
    def refresh_one_day(self, day: int) -> None:
        refresh_days(self.engine, [(START + timedelta(days=day)).date()], pool_size=POOL)

    @rule(day=_days)
    def recount_one_day(self, day: int) -> None:
        day_only = [(START + timedelta(days=day)).date()]
        refresh_days(self.engine, day_only, pool_size=POOL, recount=True)

    @rule()
    def refresh_all(self) -> None:
        refresh_days(self.engine, None, pool_size=POOL)
        assert dirty_days(self.engine) == ()
        assert uncounted_terms(self.engine) == {}
        _assert_exact(self.engine)
        again = refresh_days(self.engine, None, pool_size=POOL)
        assert (again.days, again.changes, again.rows_written, again.pools_changed) == ((), 0, 0, 0)

    @rule()
    def recount_all(self) -> None:
        refresh_days(self.engine, None, pool_size=POOL)
        days = list(day_versions(self.engine))
        before = counts_versions(self.engine, days)
        recount = refresh_days(self.engine, None, pool_size=POOL, recount=True)
        assert recount.rows_written == 0
        assert counts_versions(self.engine, days) == before
        _assert_exact(self.engine)

    @invariant()
    def what_is_applied_is_exact(self) -> None:
        if self.number % 3 == 0:  # direct queries are slow
            samples = sample_recount(self.engine, seed=self.number, size=2)
            assert all(s.stored == s.recounted for s in samples), samples
            pools = sample_pools(self.engine, seed=self.number, size=2, pool_size=POOL)
            assert all(pool.is_equal for pool in pools), pools

    @invariant()
    def posts_are_known(self) -> None:
        with self.engine.connect() as connection:
            posts = connection.execute(text("SELECT count(*) FROM sora_posts")).scalar_one()
        assert count_posts(self.engine) == posts


def test_any_history(engine: Engine) -> None:
    class Catalog(_Catalog):
        pass

    Catalog.engine = engine
    run_state_machine_as_test(
        Catalog,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


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
    _assert_exact(engine)


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
    _assert_exact(engine)


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
    _assert_exact(engine)


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
    _assert_exact(engine)


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

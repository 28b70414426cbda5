"""Counts and pools equal direct queries after any history."""

from datetime import timedelta

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
from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.blocklist import Kind, Target
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import (
    count_posts,
    counts_versions,
    day_versions,
    dirty_days,
    sample_recount,
    uncounted_terms,
)
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.storage.catalog.blocklist import add_target, remove_target, waiting
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.services.counts.exact import POOL, assert_exact
from sorafeed_assets_tests.wall import START

_TABLES = (
    *("sora_posts", "search_terms", "catalog_changes", "catalog_days"),
    *("blocklist", "counted_blocklist"),
)
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
_CREATORS = ("ann", "ben", None)
_creators = st.sampled_from(_CREATORS)


class _Catalog(RuleBasedStateMachine):
    """Posts are added, edited, deleted and excluded, terms added and dropped, with refreshes."""

    engine: Engine
    posts = Bundle("posts")

    @initialize()
    def empty(self) -> None:
        for table in _TABLES:
            run(self.engine, f"DELETE FROM {table}")
        self.number = 0

    @rule(target=posts, body=_texts, size=_sizes, day=_days, minute=st.integers(0, 3))
    def insert_one(self, body: str | None, size: tuple[int, int], day: int, minute: int) -> str:
        return self._insert(body, size, day, minute)

    def _insert(self, body: str | None, size: tuple[int, int], day: int, minute: int) -> str:
        self.number += 1
        post = f"s_{self.number:03}"
        moment = START + timedelta(days=day, minutes=minute)
        run(
            self.engine,
            "INSERT INTO sora_posts (id, creator_id, text, posted_at, indexed_at, width, height)"
            " VALUES (:id, :creator, :text, :at, :at, :width, :height)",
            id=post,
            creator=_CREATORS[self.number % len(_CREATORS)],
            text=body,
            at=moment,
            width=size[0],
            height=size[1],
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

    @rule(post=posts, creator=_creators)
    def move_to_creator(self, post: str, creator: str | None) -> None:
        self._update("creator_id = :creator", post, creator=creator)

    @rule(post=posts)
    def exclude_post(self, post: str) -> None:
        with self.engine.begin() as connection:
            add_target(connection, Target(Kind.POST, post), "test", "")

    @rule(post=posts)
    def allow_post(self, post: str) -> None:
        with self.engine.begin() as connection:
            remove_target(connection, Target(Kind.POST, post))

    @rule(creator=st.sampled_from(("ann", "ben")), is_excluded=st.booleans())
    def exclude_or_allow_creator(self, creator: str, *, is_excluded: bool) -> None:
        target = Target(Kind.CREATOR, creator)
        with self.engine.begin() as connection:
            if is_excluded:
                add_target(connection, target, "test", "")
            else:
                remove_target(connection, target)

    @rule(post=posts)
    def delete(self, post: str) -> None:
        run(self.engine, "DELETE FROM sora_posts WHERE id = :id", id=post)

    def _update(self, changes: str, post: str, **values: object) -> None:
        run(self.engine, f"UPDATE sora_posts SET {changes} WHERE id = :id", id=post, **values)

    @rule(term=st.sampled_from(_TERMS))
    def watch(self, term: str) -> None:
        watch_term(self.engine, term)

    @rule(term=st.sampled_from(_TERMS))
    def forget(self, term: str) -> None:
        run(self.engine, "DELETE FROM search_terms WHERE term = :term", term=term)

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
        with self.engine.connect() as connection:
            assert waiting(connection) == {}
        assert_exact(self.engine)
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
        assert_exact(self.engine)

    @invariant()
    def what_is_applied_is_exact(self) -> None:
        if self.number % 3 == 0:  # direct queries are slow
            samples = sample_recount(self.engine, seed=self.number, size=2)
            assert all(s.stored == s.recounted for s in samples), samples
            pools = sample_pools(self.engine, seed=self.number, size=2, pool_size=POOL)
            assert all(pool.is_equal for pool in pools), pools

    @invariant()
    def posts_are_known(self) -> None:
        assert [(count_posts(self.engine),)] == run(self.engine, "SELECT count(*) FROM sora_posts")


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

"""Any sequence of edits, plays and changes of the catalogue leaves queues that keep the rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.blocklist import Kind, Target
from sorafeed_assets.domain.errors import NotFoundError, SorafeedError
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.excluding import allow, check_excluded, exclude
from sorafeed_assets.services.timelines.queues import low_displays, stale_displays
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.timelines.views import TimelineView, timeline_view
from sorafeed_assets_tests.catalogue import (
    add_block,
    add_display,
    add_playlist,
    add_posts,
    queue_of,
    run,
)

D, WINDOW, POOL = "AAAAAA", 4, 3
TERMS = st.sampled_from(["cats", "dogs", "birds", "unicorns"])
LINES = st.tuples(
    TERMS,
    st.integers(1, 4),
    st.sampled_from(["newest", "random"]),
    st.sampled_from(["mixed", "wide"]),
)
TABLES = ("video_history", "displays", "sora_posts", "blocklist")


class TimelineMachine(RuleBasedStateMachine):
    """One display with all kinds of edits, plays and catalogue changes."""

    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        self.service = TimelineService(self.engine, window=WINDOW, candidates_per_pool=POOL)
        self.posts = 0
        self.plays = 0

    @initialize(lines=st.lists(LINES, min_size=1, max_size=3))
    def begin(self, lines: list[tuple[str, int, str, str]]) -> None:
        for table in TABLES:
            run(self.engine, f"DELETE FROM {table}")
        add_display(self.engine, D)
        for term in ("cats", "dogs", "birds"):
            self.add_posts(term, 3)
            watch_term(self.engine, term)
        add_playlist(self.engine, D, lines)
        self.repopulate()

    def exists(self) -> bool:
        return bool(run(self.engine, "SELECT FROM displays"))

    @rule(term=TERMS, count=st.integers(1, 3))
    def add_posts(self, term: str, count: int) -> None:
        add_posts(self.engine, term, count, start=self.posts, size=(640, 352))
        self.posts += count

    @rule()
    def refresh_pools(self) -> None:
        refresh_days(self.engine, None, pool_size=POOL)

    @rule(place=st.integers(0, 20))
    def delete_post(self, place: int) -> None:
        found = run(self.engine, "SELECT id FROM sora_posts ORDER BY id")
        if found:
            gone = found[place % len(found)].id
            run(self.engine, "DELETE FROM sora_posts WHERE id = :id", id=gone)

    @rule(place=st.integers(0, 20), kind=st.sampled_from(["post", "creator"]))
    def exclude_or_allow(self, place: int, kind: str) -> None:
        """Exclude a post or all of a creator's; what was excluded before is allowed again."""
        found = run(self.engine, "SELECT id FROM sora_posts ORDER BY id")
        if not found:
            return
        target = Target(Kind(kind), found[place % len(found)].id if kind == "post" else "c1")
        if not allow(self.engine, target):
            exclude(self.engine, target, by="test")
        self.repopulate()

    @rule()
    def repopulate(self) -> None:
        outcome = self.service.repopulate([D])[D]
        if not self.exists():
            assert isinstance(outcome, NotFoundError)
            return
        has_blocks = bool(run(self.engine, "SELECT FROM playlist_blocks"))
        assert isinstance(outcome, BuildOutcome) == has_blocks
        if not has_blocks:
            return
        assert check_excluded(self.engine, [D]) == {}
        assert low_displays(self.engine) == []
        assert stale_displays(self.engine) == {}
        self.check_rules()

    @precondition(lambda self: self.exists())
    @rule(place=st.sampled_from([0, 0, 0, 1, 2]), skipped=st.booleans())
    def advance(self, place: int, *, skipped: bool) -> None:
        queue = queue_of(self.engine, D)
        if not queue:
            return
        place = min(place, len(queue) - 1)
        shown = sum(row.status == "playing" for row in queue[:place])
        answer = self.service.playback.advance(D, queue[place].id, skipped=skipped)
        assert answer.video_id == queue[place].video_id
        assert self.service.playback.advance(D, queue[place].id) == answer
        self.plays += 1 + shown
        left = queue_of(self.engine, D)
        if left:
            assert left[0].status == "playing"
            assert answer.head_timeline_video_id == left[0].id

    @precondition(lambda self: self.exists())
    @rule(times=st.integers(2, 9))
    def play_on(self, times: int) -> None:
        for _ in range(times):
            self.advance(0, skipped=False)

    def settled(self) -> TimelineView | None:
        """What the display plays, brought up to date; None when it cannot be planned."""
        if isinstance(self.service.repopulate([D])[D], SorafeedError):
            return None
        return timeline_view(self.engine, D)

    @precondition(lambda self: self.exists())
    @rule()
    def previous(self) -> None:
        if (before := self.settled()) is None:
            return
        queue = queue_of(self.engine, D)
        try:
            self.service.jump(D)
        except NotFoundError:
            assert queue_of(self.engine, D) == queue
            return
        after = queue_of(self.engine, D)
        if before.now is not None:
            self.plays += 1
        assert after[0].status == "playing"
        gone = before.now and not run(
            self.engine, "SELECT FROM sora_posts WHERE id = :id", id=before.now.video_id
        )
        if not gone:
            # What was ahead follows, beginning with what was on screen.
            follow = [row.video_id for row in queue][: WINDOW - 1]
            assert [row.video_id for row in after[1:]][: len(follow)] == follow
        self.check_rules()

    @precondition(lambda self: self.exists())
    @rule(place=st.integers(0, 9), from_history=st.booleans())
    def play_now(self, place: int, *, from_history: bool) -> None:
        if (before := self.settled()) is None:
            return
        ahead = [*before.next, *before.planned]
        choice = [pick.video_id for pick in ahead]
        if from_history:
            rows = run(self.engine, "SELECT DISTINCT video_id FROM video_history ORDER BY 1")
            choice = [row.video_id for row in rows]
        if not choice:
            return
        chosen = choice[place % len(choice)]
        queue = queue_of(self.engine, D)
        try:
            self.service.jump(D, chosen)
        except NotFoundError:
            assert queue_of(self.engine, D) == queue
            return
        after = timeline_view(self.engine, D)
        assert after.now is not None
        assert after.now.video_id == chosen
        if before.now is not None and before.now.video_id != chosen:
            self.plays += 1
        # Nothing that the loop has yet to show is lost.
        played = run(self.engine, "SELECT video_id FROM video_history")
        shown = {chosen, *(row.video_id for row in played)}
        left = {pick.video_id for pick in ahead if pick.loop == before.loop} - shown
        assert left <= {
            pick.video_id for pick in (*after.next, *after.planned) if pick.loop == before.loop
        }
        self.check_rules()

    def check_rules(self) -> None:
        assert check_queues(self.engine, [D], WINDOW) == {}
        assert check_plans(self.engine, [D]) == {}
        assert check_replans(self.engine, [D]) == {}
        again = self.service.repopulate([D])[D]
        assert isinstance(again, BuildOutcome)
        assert not again.changed

    @rule(place=st.integers(0, 3), line=LINES)
    def edit_block(self, place: int, line: tuple[str, int, str, str]) -> None:
        blocks = run(
            self.engine, "SELECT id FROM playlist_blocks ORDER BY playlist_id, block_order"
        )
        if blocks:
            run(
                self.engine,
                "UPDATE playlist_blocks SET search_term = :term, video_count = :count,"
                " fetch_mode = :mode, format = :format WHERE id = :id",
                id=blocks[place % len(blocks)].id,
                **dict(zip(("term", "count", "mode", "format"), line, strict=True)),
            )

    @rule(place=st.integers(0, 3))
    def remove_block(self, place: int) -> None:
        blocks = run(
            self.engine, "SELECT id FROM playlist_blocks ORDER BY playlist_id, block_order"
        )
        if blocks:
            gone = blocks[place % len(blocks)].id
            run(self.engine, "DELETE FROM playlist_blocks WHERE id = :id", id=gone)

    @precondition(lambda self: self.exists())
    @rule(first=st.booleans(), line=LINES)
    def insert_block(self, line: tuple[str, int, str, str], *, first: bool) -> None:
        (playlist,) = run(self.engine, "SELECT id FROM playlists WHERE is_active")
        with self.engine.begin() as connection:
            connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
            if first:
                connection.execute(text("UPDATE playlist_blocks SET block_order = block_order + 1"))
            top = connection.execute(text("SELECT max(block_order) FROM playlist_blocks")).scalar()
            add_block(connection, playlist.id, 0 if first else (top or 0) + 1, line)

    @precondition(lambda self: self.exists())
    @rule(lines=st.lists(LINES, min_size=1, max_size=3))
    def new_playlist(self, lines: list[tuple[str, int, str, str]]) -> None:
        run(self.engine, "DELETE FROM playlists WHERE NOT is_active")
        add_playlist(self.engine, D, lines)
        run(self.engine, "DELETE FROM playlists WHERE NOT is_active")
        self.repopulate()

    @rule()
    def delete_display(self) -> None:
        run(self.engine, "DELETE FROM displays")
        assert run(self.engine, "SELECT FROM timeline_videos") == []

    @precondition(lambda self: not self.exists())
    @rule(lines=st.lists(LINES, min_size=1, max_size=3))
    def new_display(self, lines: list[tuple[str, int, str, str]]) -> None:
        add_display(self.engine, D)
        add_playlist(self.engine, D, lines)
        self.repopulate()

    @invariant()
    def the_queue_is_in_order(self) -> None:
        queue = queue_of(self.engine, D)
        assert len(queue) <= WINDOW
        assert [row.status for row in queue[1:]] == ["queued"] * len(queue[1:])
        builds = run(self.engine, "SELECT active_build_id FROM displays")
        assert {row.build_id for row in queue} <= {row.active_build_id for row in builds}

    @invariant()
    def no_play_is_lost(self) -> None:
        assert len(run(self.engine, "SELECT FROM video_history")) == self.plays


@contextmanager
def machine_on(engine: Engine) -> Iterator[type[TimelineMachine]]:
    TimelineMachine.engine = engine
    yield TimelineMachine
    del TimelineMachine.engine


def test_the_rules_hold_whatever_happens(engine: Engine) -> None:
    with machine_on(engine) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=20,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

"""Planning reads only the plays of the posts it examines, and plans as with all plays."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.domain.timelines.plan import Planner, Start
from sorafeed_assets.domain.timelines.planners.creator_gap import CREATOR_GAP
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.record import inputs_to_json
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.timelines import last_plays as reading
from sorafeed_assets.services.timelines import planning
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.last_plays import LastPlays
from sorafeed_assets.services.timelines.planning import Planned, Task, plan_displays
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.playlists.rows import load_active_playlists
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, run
from sorafeed_assets_tests.statements import Plan, plans_of

POOL = 20
PLANNED_BY: list[Planner] = [IN_ORDER, CREATOR_GAP, CREATOR_GAP]


def _about_plays(statement: str) -> bool:
    return "video_history" in statement and statement.lstrip().startswith(("SELECT", "WITH"))


def _plays_read(plan: Plan) -> float:
    """The rows of ``video_history`` that a statement has read."""
    read: float = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan.nodes
        if node.get("Relation Name") == "video_history"
    )
    return read


def record_plays(engine: Engine, display_id: str, videos: str, times: int) -> None:
    """Record ``times`` plays of each video that matches a pattern, after all earlier plays."""
    run(
        engine,
        "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at)"
        " SELECT :display, p.id, 0, d.dedup_since + n * interval '1 hour'"
        "   + row_number() OVER (ORDER BY p.id) * interval '1 second'"
        " FROM sora_posts p, displays d, generate_series(1, :times) AS n"
        " WHERE p.id LIKE :videos AND d.id = :display",
        display=display_id,
        videos=videos,
        times=times,
    )
    run(engine, "ANALYZE video_history")


@pytest.mark.parametrize("mode", ["newest", "random"])
def test_what_planning_reads_does_not_grow_with_the_plays(
    engine: Engine, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_RECENT", 20)
    add_posts(engine, "cats", 300)
    add_posts(engine, "dogs", 300)
    watch_term(engine, "cats")
    refresh_days(engine, None, pool_size=POOL)
    displays = [f"D0000{number}" for number in range(5)]
    for display_id in displays:
        add_display(engine, display_id)
        add_playlist(engine, display_id, [("cats", 3, mode)])
    service = TimelineService(engine, candidates_per_pool=POOL)
    service.repopulate(displays)
    measured = []
    # Plays of few examined posts, and of many others.
    for times in (1, 40):
        for display_id in displays:
            record_plays(engine, display_id, "cats-000%", times)
            record_plays(engine, display_id, "dogs%", times)
        with plans_of(engine, _about_plays, executes=True) as plans:
            outcomes = service.repopulate(displays)
        assert all(isinstance(outcome, BuildOutcome) for outcome in outcomes.values())
        measured.append((len(plans), sum(map(_plays_read, plans))))
    assert measured[0] == measured[1]
    # The plays of all displays are read at once, only for posts that plans examine.
    statements, read = measured[1]
    assert statements < 8
    assert read <= len(displays) * 300


class EveryPlay(LastPlays):
    """Reads every play of its displays at the start."""

    def __init__(self, connection: Connection, display_ids: Collection[str]) -> None:
        super().__init__(connection, display_ids)
        rows = connection.execute(
            text(
                "SELECT h.display_id, video_id,"
                " CAST(extract(epoch FROM max(played_at)) * 1000000 AS bigint) AS last"
                " FROM video_history h JOIN displays d ON d.id = h.display_id"
                " WHERE played_at >= dedup_since GROUP BY 1, 2"
            )
        )
        self._plays = {code: {} for code in display_ids}
        for row in rows:
            self._plays.setdefault(row.display_id, {})[row.video_id] = row.last

    def latest(self, display_id: str) -> int:
        return max(self._plays[display_id].values(), default=0)

    def unknown(self, _display_id: str, _posts: Collection[str]) -> set[str]:
        return set()


DISPLAYS = ("AAAAAA", "BBBBBB", "CCCCCC")
POSTS = {"cats": 14, "dogs": 9, "birds": 2, "unicorns": 0}
_PLAY = "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at) "

_lines = st.lists(
    st.tuples(
        st.sampled_from(sorted(POSTS)),
        st.integers(1, 5),
        st.sampled_from(["newest", "random"]),
        st.sampled_from(["mixed", "wide"]),
    ),
    min_size=1,
    max_size=4,
)
_played = st.lists(
    st.tuples(
        st.sampled_from([f"{term}-{n:04}" for term, count in POSTS.items() for n in range(count)]),
        st.integers(-3, 40),
    ),
    max_size=40,
)
_starts = st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 4))


@pytest.fixture
def catalogue(engine: Engine) -> Engine:
    for term, count in POSTS.items():
        if count:
            add_posts(engine, term, count)
    for term in ("cats", "dogs"):
        watch_term(engine, term)
    refresh_days(engine, None, pool_size=4)
    add_posts(engine, "cats", 3, start=POSTS["cats"])
    for display_id in DISPLAYS:
        add_display(engine, display_id)
    return engine


def _plan(connection: Connection, tasks: list[Task], last_plays: LastPlays) -> dict[str, object]:
    planned = plan_displays(connection, CandidateBook(4), last_plays, tasks)
    return {
        display_id: (plan.content_hash, plan.result.loop, plan.result.position,
                     inputs_to_json(plan.inputs))
        if isinstance(plan, Planned)
        else str(plan)
        for display_id, plan in planned.items()
    }  # fmt: skip


def _kept(
    connection: Connection, tasks: list[Task], starts: list[tuple[int, int, int]], ahead: int
) -> list[Task]:
    """The tasks at a later loop and position, with picks that stay."""
    last_plays = LastPlays(connection, [])
    before = plan_displays(connection, CandidateBook(4), last_plays, tasks)
    going_on = []
    for task, (loop, position, kept) in zip(tasks, starts, strict=True):
        plan = before[task.display_id]
        assert isinstance(plan, Planned)
        picks = plan.result.schedule.loops[0].picks[:kept]
        start = Start(loop, position, picks)
        going_on.append(replace(task, start=start, ahead=ahead))
    return going_on


@pytest.mark.parametrize(("ahead", "recent"), [(0, 0), (8, 3), (0, 500)])
def test_plans_are_those_of_all_plays(
    catalogue: Engine, ahead: int, recent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_RECENT", recent)
    monkeypatch.setattr(planning, "_AHEAD", ahead)
    monkeypatch.setattr(planning, "_AHEAD_TIMES", 1)
    run(catalogue, "UPDATE sora_posts SET creator_id = 'c' || abs(id_hash) % 3")

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.tuples(_lines, _lines, _lines),
        st.tuples(_played, _played, _played),
        st.tuples(_starts, _starts, _starts),
        st.integers(1, 10),
    )
    def check(
        lines: tuple[list[Any], ...],
        histories: tuple[list[tuple[str, int]], ...],
        starts: tuple[tuple[int, int, int], ...],
        window: int,
    ) -> None:
        run(catalogue, "DELETE FROM video_history")
        for display_id, of_display, played in zip(DISPLAYS, lines, histories, strict=True):
            add_playlist(catalogue, display_id, of_display)
            for video_id, second in played:
                run(
                    catalogue,
                    _PLAY + "SELECT id, :video, 0, dedup_since + :second * interval '1 second'"
                    " FROM displays WHERE id = :id",
                    id=display_id,
                    video=video_id,
                    second=second,
                )
        with catalogue.connect() as connection:
            playlists = load_active_playlists(connection, DISPLAYS)
            tasks = [
                Task(code, playlists[code], Start(), 5, planner)
                for code, planner in zip(DISPLAYS, PLANNED_BY, strict=True)
            ]
            tasks = _kept(connection, tasks, list(starts), window)
            # The second display has a new playlist, so its earlier plays do not count.
            going_on = [DISPLAYS[0], DISPLAYS[2]]
            every = EveryPlay(connection, going_on)
            every._plays[DISPLAYS[1]] = {}
            expected = _plan(connection, tasks, every)
            assert _plan(connection, tasks, LastPlays(connection, going_on)) == expected

    check()

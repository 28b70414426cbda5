"""Displays by flag: which planner plans them, and which system drives them."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import DisplayNotFoundError, NotDrivenError, SorafeedError
from sorafeed_assets.domain.flags.known import DRIVER, KNOWN, PLANNER
from sorafeed_assets.domain.timelines.planners import PLANNERS
from sorafeed_assets.domain.timelines.planners.in_order import InOrder
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.plan_ends import PlanEnds
from sorafeed_assets.services.timelines.queues import low_displays, queue_status, stale_displays
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets.storage.timelines.queues import load_planners
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

CODES = [f"WALL{number:02}" for number in range(8)]
BY: dict[str, Any] = {"by": "test", "why": "a test"}


@pytest.fixture
def settler(engine: Engine, settler: Settler) -> Settler:
    """Eight displays that play videos of five creators with six each."""
    add_posts(engine, "cat video", 30)
    # No loop of 12 videos can have so many of one creator that two of them must be neighbours.
    run(engine, "UPDATE sora_posts SET creator_id = CAST(right(id, 4) AS integer) % 5")
    for code in CODES:
        add_display(engine, code)
        add_playlist(engine, code, [("cat video", 12)], mode="random")
    _settle_all(settler)
    return settler


@pytest.fixture
def flags(engine: Engine) -> Flags:
    return Flags(engine)


def _settle_all(settler: Settler) -> None:
    while settler.settle_changed():
        pass


def _state(engine: Engine, code: str) -> list[object]:
    """Everything of a display that writing its queue could change."""
    return [
        run(engine, "SELECT * FROM timeline_videos WHERE display_id = :id ORDER BY id", id=code),
        run(engine, "SELECT * FROM timeline_builds WHERE display_id = :id ORDER BY id", id=code),
        run(engine, "SELECT active_build_id, loop_iteration, timeline_position, current_video_id,"
            " last_video_start_time FROM displays WHERE id = :id", id=code),
        run(engine, "SELECT * FROM video_history WHERE display_id = :id ORDER BY id", id=code),
    ]  # fmt: skip


def _planners(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return load_planners(connection)


def test_a_share_is_planned_by_the_other_planner_and_back(
    engine: Engine, settler: Settler, flags: Flags
) -> None:
    assert _planners(engine) == dict.fromkeys(CODES, "in_order")
    before = {code: [row.video_id for row in queue_of(engine, code)] for code in CODES}
    with engine.begin() as connection:
        change = flags.set_share(connection, PLANNER, 50, **BY)
    assert set(change.displays.values()) == {("in_order", "creator_gap")}
    assert stale_displays(engine).keys() == change.displays.keys()
    with engine.connect() as connection:
        assert set(changed_displays(connection)) == set(change.displays)
    _settle_all(settler)
    assert stale_displays(engine) == {}
    assert _planners(engine) == {
        code: "creator_gap" if code in change.displays else "in_order" for code in CODES
    }
    for check in (check_plans, check_replans):
        assert check(engine, CODES) == {}
    assert check_queues(engine, CODES, 5) == {}
    assert _neighbours(engine, [*change.displays]) == 0
    with engine.begin() as connection:
        back = flags.set_share(connection, PLANNER, 0, **BY)
    assert back.displays.keys() == change.displays.keys()
    _settle_all(settler)
    assert _planners(engine) == dict.fromkeys(CODES, "in_order")
    assert before == {code: [row.video_id for row in queue_of(engine, code)] for code in CODES}


def _neighbours(engine: Engine, codes: list[str]) -> int:
    """How many planned videos follow one of the same creator."""
    return int(
        run(
            engine,
            """
            SELECT count(*) FROM (
                SELECT p.creator_id = lag(p.creator_id)
                    OVER (PARTITION BY d.id, l.loop -> 'loop' ORDER BY k.place) AS follows
                FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id,
                    jsonb_array_elements(b.plan -> 'loops') AS l (loop),
                    jsonb_array_elements(l.loop -> 'picks') WITH ORDINALITY AS k (pick, place)
                    JOIN sora_posts p ON p.id = k.pick ->> 'video_id'
                WHERE d.id = ANY(:codes)
            ) AS pairs WHERE follows
            """,
            codes=codes,
        )[0].count
    )


def test_a_planner_that_this_version_lacks_leaves_the_last_good_build(
    engine: Engine, settler: Settler, settings: Settings, redis: Redis
) -> None:
    known = {**KNOWN, PLANNER: replace(KNOWN[PLANNER], values=("in_order", "better"))}
    flags = Flags(engine, known)
    with engine.begin() as connection:
        flags.set_displays(connection, PLANNER, [CODES[0]], "better", **BY)
    before = queue_of(engine, CODES[0])
    outcome = TimelineService(engine, flags=flags).repopulate(CODES)[CODES[0]]
    assert isinstance(outcome, SorafeedError)
    assert "planner 'better' is not part of this version" in str(outcome)
    assert queue_of(engine, CODES[0]) == before
    better = {**PLANNERS, "better": InOrder("better")}
    TimelineService(engine, flags=flags, planners=better).repopulate(CODES)
    assert _planners(engine)[CODES[0]] == "better"
    assert "better" in check_replans(engine, CODES)[CODES[0]][0]


def _drive(engine: Engine, flags: Flags, code: str, driver: str) -> None:
    with engine.begin() as connection:
        flags.set_displays(connection, DRIVER, [code], driver, **BY)


def test_a_display_on_old_is_never_written_to(
    engine: Engine, settler: Settler, flags: Flags, settings: Settings, redis: Redis
) -> None:
    old, new = CODES[:2]
    _drive(engine, flags, old, "old")
    before = _state(engine, old)
    service = TimelineService(engine)
    entry = queue_of(engine, old)[0].id
    _settle_all(settler)
    add_playlist(engine, old, [("cat video", 3)])
    add_posts(engine, "cat video", 5, prefix="q")
    _settle_all(settler)
    settler.settle(CODES)
    settler.plan_ahead([old], 60)
    settler.apply_posts()
    _settle_all(settler)
    for act in (
        lambda: service.playback.advance(old, entry),
        lambda: service.playback.begin(old, entry, lambda *_: None),
    ):
        with pytest.raises(NotDrivenError, match=f"{old} is driven by the old system"):
            act()
    commands = Commands(engine, redis, service, ttl=100)
    # A new post may have come first in its random order.
    other = queue_of(engine, new)[0].id
    answers = commands.mark_all_played(
        [Play(old, entry), Play(new, other), Play("NOHALL", uuid4())]
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [NotDrivenError, Advance, DisplayNotFoundError]
    run(engine, "DELETE FROM playlists WHERE display_id = :id", id=new)
    assert _state(engine, old) == before


def test_a_display_on_old_is_neither_stale_nor_low(
    engine: Engine, settler: Settler, flags: Flags
) -> None:
    old = CODES[0]
    add_playlist(engine, old, [("cat video", 3)])
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE playlists SET is_active = (id = (SELECT id FROM playlists p"
                 " WHERE p.display_id = :old ORDER BY created_at DESC LIMIT 1)), is_new = false"
                 " WHERE display_id = :old"), {"old": old},
        )  # fmt: skip
    assert stale_displays(engine).keys() == {old}
    _drive(engine, flags, old, "old")
    run(engine, "DELETE FROM timeline_videos WHERE display_id = :id", id=old)
    assert stale_displays(engine) == {}
    assert low_displays(engine) == []
    assert queue_status(engine, 5).complete == len(CODES) - 1
    _drive(engine, flags, old, "new")
    _settle_all(settler)
    assert len(queue_of(engine, old)) == 5
    assert queue_status(engine, 5).complete == len(CODES)


def test_a_display_on_shadow_is_planned_but_not_played(
    engine: Engine, settler: Settler, flags: Flags
) -> None:
    code = CODES[0]
    _drive(engine, flags, code, "shadow")
    _settle_all(settler)
    add_playlist(engine, code, [("cat video", 4)])
    _settle_all(settler)
    queue = queue_of(engine, code)
    assert len(queue) == 5
    assert PlanEnds(engine, window=5).ending().keys() <= set(CODES)
    service = TimelineService(engine)
    with pytest.raises(NotDrivenError):
        service.playback.advance(code, queue[0].id)
    _drive(engine, flags, code, "new")
    assert service.playback.advance(code, queue[0].id).video_id == queue[0].video_id


def test_a_play_waits_for_a_change_of_the_driver(
    engine: Engine, settler: Settler, flags: Flags
) -> None:
    """The change holds the display's lock, so that no play is recorded after it."""
    code = CODES[0]
    entry = queue_of(engine, code)[0].id
    service = TimelineService(engine)
    with engine.begin() as connection:
        flags.set_displays(connection, DRIVER, [code], "old", **BY)
        # Not recorded at once, because the display is locked.
        assert service.playback.advance_at_once([Play(code, entry)], lambda _: ()).answers == [None]
    with pytest.raises(NotDrivenError):
        service.playback.advance(code, entry)

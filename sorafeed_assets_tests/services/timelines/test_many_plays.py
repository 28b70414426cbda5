"""Many plays in a call have the same effect as one by one, and wait for no other transaction."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine, event, text

from sorafeed_assets.domain.errors import DisplayNotFoundError, NotFoundError, SorafeedError
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, queue_of, run
from sorafeed_assets_tests.statements import before_each

WINDOW = 4
MANY, ONE = (tuple(f"{name}{number}" for number in range(3)) for name in ("MANYA", "ONEBY"))
# The newest matches: the order of random ones depends on the display.
PLAYLISTS = st.lists(
    st.tuples(st.sampled_from(["cats", "dogs", "unicorns"]), st.integers(1, 5)),
    min_size=1,
    max_size=3,
)
# (the display, the index of the row or an unknown one, whether it was skipped)
PLAYS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, WINDOW - 1), st.booleans()), max_size=14
)


@pytest.fixture
def commands(engine: Engine, redis: Redis) -> Commands:
    return Commands(engine, redis, TimelineService(engine, window=WINDOW), ttl=1_000)


def _play_on(commands: Commands, engine: Engine, display: str, times: int) -> None:
    for _ in range(times):
        for row in queue_of(engine, display)[:1]:
            commands.mark_played(display, row.id)


def _plays(
    engine: Engine, displays: Sequence[str], told: Sequence[tuple[int, int, bool]]
) -> list[Play]:
    """Plays of queued rows, and of a display and rows that do not exist."""
    queues = {display: [row.id for row in queue_of(engine, display)] for display in displays}

    def entry(display: str, place: int) -> UUID:
        known = queues.get(display, [])
        return known[place] if 0 <= place < len(known) else UUID(int=0)

    names = [*displays, "NOSUCH"]
    return [Play(names[n], entry(names[n], place), skipped) for n, place, skipped in told]


def _seen(answer: Advance | SorafeedError) -> tuple[Any, ...]:
    if isinstance(answer, Advance):
        return (
            answer.video_id,
            answer.skipped,
            answer.loop,
            answer.position,
            answer.head_video_id,
            answer.head_timeline_video_id is None,
            answer.queued,
        )
    return (type(answer),)


def _stored(engine: Engine, displays: Sequence[str]) -> list[Any]:
    """The state that plays change, without row ids."""
    return [
        [
            run(engine, statement, id=display)
            for statement in (
                (
                    "SELECT video_id, loop_iteration, was_skipped FROM video_history"
                    " WHERE display_id = :id ORDER BY played_at"
                ),
                (
                    "SELECT video_id, loop_iteration, timeline_position, block_position, status"
                    " FROM timeline_videos WHERE display_id = :id ORDER BY 2, 3"
                ),
                (
                    "SELECT block_order, times_played, last_played_at IS NULL"
                    " FROM playlist_blocks b JOIN playlists p ON p.id = b.playlist_id"
                    " WHERE display_id = :id ORDER BY 1"
                ),
                "SELECT loop_count FROM playlists WHERE display_id = :id",
                (
                    "SELECT loop_iteration, timeline_position, current_position, current_video_id,"
                    " last_video_start_time IS NULL FROM displays WHERE id = :id"
                ),
            )
        ]
        for display in displays
    ]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=PLAYLISTS,
    before=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    begun=st.integers(0, 2),
    calls=st.lists(PLAYS, min_size=1, max_size=2),
)
def test_many_plays_in_a_call_are_the_same_one_by_one(
    engine: Engine,
    redis: Redis,
    commands: Commands,
    lines: list[tuple[str, int]],
    before: list[int],
    begun: int,
    calls: list[list[tuple[int, int, bool]]],
) -> None:
    for table in ("video_history", "displays", "sora_posts"):
        run(engine, f"DELETE FROM {table}")
    add_posts(engine, "cats", 6)
    add_posts(engine, "dogs", 2)
    run(engine, "UPDATE sora_posts SET text = text || :odd", odd=' "odd" \\ ж \u2028 \x7f \t 😀')
    for display in (*MANY, *ONE):
        add_display(engine, display)
        add_playlist(engine, display, lines)
    commands.settler.settle([*MANY, *ONE])
    for displays in (MANY, ONE):
        for display, times in zip(displays, before, strict=True):
            _play_on(commands, engine, display, times)
        for row in queue_of(engine, displays[begun])[:1]:
            commands.begin(displays[begun], row.id)
    for told in calls:
        many, one = _plays(engine, MANY, told), _plays(engine, ONE, told)
        at_once = commands.mark_all_played(many)
        alone = [_alone(commands, play) for play in one]
        assert list(map(_seen, at_once)) == list(map(_seen, alone))
        # A repeated call records nothing.
        plays = run(engine, "SELECT count(*) FROM video_history")
        again = commands.mark_all_played(many)
        assert list(map(_key, again)) == list(map(_key, at_once))
        assert run(engine, "SELECT count(*) FROM video_history") == plays
    assert _stored(engine, MANY) == _stored(engine, ONE)
    assert check_queues(engine, MANY, WINDOW) == {}
    assert check_plans(engine, MANY) == {}
    assert check_replans(engine, MANY) == {}
    assert not any(check_timeline_cache(engine, redis).values())


def _alone(commands: Commands, play: Play) -> Advance | SorafeedError:
    try:
        return commands.mark_played(play.display_id, play.timeline_video_id, skipped=play.skipped)
    except SorafeedError as error:
        return error


def _key(answer: Advance | SorafeedError) -> object:
    if isinstance(answer, Advance):
        return answer.timeline_video_id, answer.played_at, answer.skipped
    return type(answer)


@pytest.fixture
def wall(engine: Engine, commands: Commands) -> list[str]:
    """Displays that play long loops."""
    add_posts(engine, "cats", 40)
    displays = [f"WALL{number:02}" for number in range(12)]
    for display in displays:
        add_display(engine, display)
        add_playlist(engine, display, [("cats", 30)])
    commands.settler.settle(displays)
    return displays


@contextmanager
def _commits(engine: Engine) -> Iterator[list[object]]:
    """The connections of the commits while the block lasts."""
    commits: list[object] = []

    def note(connection: object) -> None:
        commits.append(connection)

    event.listen(engine, "commit", note)
    try:
        yield commits
    finally:
        event.remove(engine, "commit", note)


def test_plays_of_many_displays_are_one_transaction_and_one_round_trip(
    engine: Engine, redis: Redis, commands: Commands, wall: list[str]
) -> None:
    heads = [Play(display, queue_of(engine, display)[0].id) for display in wall]
    commands.mark_all_played(heads[:1])  # the script is loaded
    redis.config_resetstat()
    with _commits(engine) as commits:
        answers = commands.mark_all_played(heads[1:])
    assert all(isinstance(answer, Advance) for answer in answers)
    assert len(commits) == 1
    calls = {name: stats["calls"] for name, stats in redis.info("commandstats").items()}
    # Only EVALSHA is a command of the client; the script sends the others.
    inside = {"cmdstat_get": 11, "cmdstat_set": 33, "cmdstat_publish": 1}
    assert calls == {"cmdstat_evalsha": 1, **inside, "cmdstat_config|resetstat": 1}
    assert not any(check_timeline_cache(engine, redis, wall).values())


def test_a_display_that_is_locked_elsewhere_keeps_no_other_waiting(
    engine: Engine, commands: Commands, wall: list[str]
) -> None:
    plays = [Play(display, queue_of(engine, display)[0].id) for display in wall[:6]]
    locks = (
        lambda connection: lock_displays(connection, wall[:1]),
        lambda connection: connection.execute(
            text("SELECT FROM displays WHERE id = :id FOR UPDATE"), {"id": wall[1]}
        ),
        lambda connection: connection.execute(
            text("SELECT FROM playlists WHERE display_id = :id FOR UPDATE"), {"id": wall[2]}
        ),
        lambda connection: connection.execute(
            text(
                "SELECT FROM playlist_blocks WHERE playlist_id ="
                " (SELECT id FROM playlists WHERE display_id = :id) FOR UPDATE"
            ),
            {"id": wall[3]},
        ),
    )
    with engine.begin() as holder:
        for each in locks:
            each(holder)
        answers = commands.record_plays(plays).answers
        assert [answer is None for answer in answers] == [True] * 4 + [False] * 2
        # A play that is not recorded is not acknowledged.
        assert len(run(engine, "SELECT FROM video_history")) == 2
    assert all(isinstance(answer, Advance) for answer in commands.mark_all_played(plays))
    assert len(run(engine, "SELECT FROM video_history")) == 6


def test_plays_that_need_a_plan_are_planned_together(
    engine: Engine, redis: Redis, commands: Commands, wall: list[str]
) -> None:
    ending = wall[:3]
    for display in ending:
        _play_on(commands, engine, display, 30 - WINDOW)
    plays = [Play(display, queue_of(engine, display)[0].id) for display in wall[:6]]
    answers = commands.cache_plays(commands.record_plays(plays))
    assert [answer is None for answer in answers] == [True] * 3 + [False] * 3
    with _commits(engine) as commits:
        recorded = commands.record_plays(plays, plans=True)
    assert len(commits) == 1
    for answer in commands.cache_plays(recorded):
        assert isinstance(answer, Advance)
        assert answer.queued == WINDOW
        assert answer.head_timeline_video_id is not None
    assert len(run(engine, "SELECT FROM video_history")) == 3 * (30 - WINDOW) + 6
    assert check_queues(engine, wall, WINDOW) == {}
    assert check_plans(engine, wall) == {}
    assert check_replans(engine, wall) == {}
    assert not any(check_timeline_cache(engine, redis, wall).values())


def test_plays_before_one_that_needs_a_plan_are_answered_with_their_own_place(
    engine: Engine, commands: Commands, wall: list[str]
) -> None:
    _play_on(commands, engine, wall[0], 30 - WINDOW - 2)
    plays = [Play(wall[0], row.id) for row in queue_of(engine, wall[0])[:3]]
    answers = commands.record_plays(plays, plans=True).answers
    places = [answer.position for answer in answers if isinstance(answer, Advance)]
    assert places == [30 - WINDOW - 1, 30 - WINDOW, 30 - WINDOW + 1]


def test_a_display_that_cannot_be_planned_keeps_no_other_from_it(
    engine: Engine, commands: Commands, wall: list[str]
) -> None:
    for display in wall[:2]:
        _play_on(commands, engine, display, 30 - WINDOW)
    run(
        engine,
        "ALTER TABLE timeline_builds ADD CONSTRAINT refused CHECK (display_id <> 'WALL00')"
        " NOT VALID",
    )
    plays = [Play(display, queue_of(engine, display)[0].id) for display in wall[:2]]
    without, planned = commands.record_plays(plays, plans=True).answers
    assert isinstance(without, Advance)
    assert without.queued == WINDOW - 1
    assert isinstance(planned, Advance)
    assert planned.queued == WINDOW


def test_batches_in_opposite_order_do_not_deadlock(
    engine: Engine, redis: Redis, commands: Commands, wall: list[str]
) -> None:
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = run(engine, deadlocks)
    start = Barrier(4)

    def play(displays: Sequence[str]) -> int:
        recorded = 0
        for _ in range(8):
            plays = [Play(each, queue_of(engine, each)[0].id) for each in displays]
            start.wait(60)
            answers = commands.mark_all_played(plays)
            assert all(isinstance(answer, (Advance, NotFoundError)) for answer in answers)
            recorded += sum(isinstance(answer, Advance) for answer in answers)
        return recorded

    with ThreadPoolExecutor(4) as pool:
        orders = [wall, wall[::-1], wall[6:] + wall[:6], wall[::-1]]
        assert sum(pool.map(play, orders)) > 0
    assert run(engine, deadlocks) == before
    assert check_queues(engine, wall, WINDOW) == {}
    assert not any(check_timeline_cache(engine, redis, wall).values())


def test_what_one_play_is_refused_for_is_no_matter_of_the_others(
    engine: Engine, commands: Commands, wall: list[str]
) -> None:
    first, second = (queue_of(engine, display)[0].id for display in wall[:2])
    answers = commands.mark_all_played(
        [
            Play("NOSUCH", first),
            Play(wall[0], uuid4()),
            Play(wall[0], second),
            Play(wall[0], first),
            Play(wall[1], second, skipped=True),
        ]
    )
    assert [type(answer) for answer in answers] == [
        DisplayNotFoundError,
        NotFoundError,
        NotFoundError,
        Advance,
        Advance,
    ]
    assert len(run(engine, "SELECT FROM video_history")) == 2


def test_an_error_of_one_play_leaves_the_others_recorded(
    engine: Engine, commands: Commands, wall: list[str]
) -> None:
    run(
        engine,
        "ALTER TABLE video_history ADD CONSTRAINT refused CHECK (display_id <> 'WALL01') NOT VALID",
    )
    plays = [Play(display, queue_of(engine, display)[0].id) for display in wall[:3]]
    assert commands.record_plays(plays).answers == [None, None, None]
    assert isinstance(commands.mark_played(wall[0], plays[0].timeline_video_id), Advance)
    assert commands.record_plays([plays[2]]).answers != [None]


def test_an_older_snapshot_is_not_written_over_a_newer_one(
    engine: Engine, redis: Redis, commands: Commands, wall: list[str]
) -> None:
    first, second = (
        commands.record_plays([Play(wall[0], queue_of(engine, wall[0])[0].id)]) for _ in range(2)
    )
    commands.cache_plays(second)
    assert not check_timeline_cache(engine, redis, wall[:1])[wall[0]]
    commands.cache_plays(first)
    assert not check_timeline_cache(engine, redis, wall[:1])[wall[0]]


def test_a_play_of_a_display_that_is_deleted_brings_nothing_back(
    engine: Engine, redis: Redis, commands: Commands, wall: list[str]
) -> None:
    recorded = commands.record_plays([Play(wall[0], queue_of(engine, wall[0])[0].id)])
    commands.delete_display(wall[0])
    commands.cache_plays(recorded)
    assert not redis.exists(f"sorafeed:timeline:{wall[0]}", f"sorafeed:playback:{wall[0]}")


def test_a_plan_that_a_play_needs_is_made_for_its_values(
    engine: Engine, commands: Commands
) -> None:
    """A post that is gone from the plan leaves a queue too short, which no call expects."""
    add_posts(engine, "cats", 20)
    add_display(engine, "AAAAAA")
    add_playlist(engine, "AAAAAA", [("cats", 12)])
    commands.settler.settle(["AAAAAA"])
    head, *_, last = queue_of(engine, "AAAAAA")
    number = int(last.video_id.removeprefix("cats-"))
    run(engine, "DELETE FROM sora_posts WHERE id = :id", id=f"cats-{number - 1:04}")
    modes: dict[str, str] = {}

    def note(cursor: Any, statement: str, _parameters: object) -> None:
        (modes[statement],) = cursor.connection.execute("SHOW plan_cache_mode").fetchone()

    with before_each(engine, note):
        recorded = commands.record_plays([Play("AAAAAA", head.id)])
    assert recorded.planned == {"AAAAAA"}
    for part, mode in (("video_candidates", "auto"), ("WITH moves", "force_generic_plan")):
        assert {found for statement, found in modes.items() if part in statement} == {mode}

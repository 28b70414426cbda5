"""The signals count what went wrong on each display since a moment, by its last plays."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets.storage.rollouts.signals import REPEAT_WITHIN, Counts, read_signals
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import START, add_display, add_playlist

_A, _B = "AAAAA1", "BBBBB2"
_SINCE, _UNTIL = START, START + timedelta(days=1)


def _read(engine: Engine, signal: Signal) -> Counts:
    with engine.connect() as connection:
        return read_signals(connection, [signal], [_A, _B], _SINCE, _UNTIL)[signal]


def _play(engine: Engine, display: str, videos: Sequence[str], first: timedelta) -> None:
    """Plays, a second apart."""
    rows = [
        {"id": uuid4(), "d": display, "v": video, "at": START + first + timedelta(seconds=number)}
        for number, video in enumerate(videos)
    ]
    if not rows:
        return
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at,"
                " timeline_video_id) VALUES (:d, :v, 0, :at, :id)"
            ),
            rows,
        )


def test_plays_that_were_skipped_or_failed(engine: Engine) -> None:
    _play(engine, _A, list("abcdef"), timedelta(0))
    run(engine, "UPDATE video_history SET was_skipped = true WHERE video_id IN ('a', 'b', 'c')")
    run(
        engine,
        "INSERT INTO play_failures (timeline_video_id, display_id)"
        " SELECT timeline_video_id, display_id FROM video_history WHERE video_id = 'c'",
    )
    # A video that the player could not show is told as skipped, but nobody skipped it.
    assert _read(engine, Signal.SKIPPED) == {_A: (2, 6)}
    assert _read(engine, Signal.FAILED) == {_A: (1, 6)}


def test_plays_outside_of_the_time_are_not_counted(engine: Engine) -> None:
    for first in (-timedelta(seconds=3), timedelta(0), timedelta(days=1)):
        _play(engine, _A, list("abc"), first)
    assert _read(engine, Signal.SKIPPED) == {_A: (0, 3)}
    # Those before it are known, so all three are repeats.
    assert _read(engine, Signal.REPEATS) == {_A: (3, 3)}


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.integers(0, 130), max_size=130),
    st.lists(st.integers(0, 130), max_size=130),
)
def test_repeats_are_those_among_the_last_plays(
    engine: Engine, before: list[int], after: list[int]
) -> None:
    run(engine, "TRUNCATE video_history")
    _play(engine, _A, [str(v) for v in before], -timedelta(hours=1))
    _play(engine, _A, [str(v) for v in after], timedelta(0))
    plays = [*before, *after]
    repeats = sum(
        plays[place] in plays[max(0, place - REPEAT_WITHIN) : place]
        for place in range(len(before), len(plays))
    )
    assert _read(engine, Signal.REPEATS) == ({_A: (repeats, len(after))} if after else {})


def test_plans_that_are_dry_or_impossible(engine: Engine) -> None:
    for code in (_A, _B):
        add_display(engine, code)
        add_playlist(engine, code, [("cat", 2), ("dog", 2)])
    run(engine, "UPDATE playlists SET is_active = true")
    run(engine, "UPDATE displays SET plan_problem = 'no' WHERE id = :id", id=_B)
    assert _read(engine, Signal.PLAN_PROBLEMS) == {_A: (0, 1), _B: (1, 1)}
    # A display without a build has no blocks that could be dry.
    assert _read(engine, Signal.DRY_BLOCKS) == {_A: (0, 0), _B: (0, 0)}
    run(
        engine,
        """
        WITH built AS (
            INSERT INTO timeline_builds (display_id, playlist_id, playlist_version,
                loop_iteration, inputs, plan, dry_blocks, content_hash)
            SELECT display_id, id, '', 0, '{}', '{}', '["x"]', '' FROM playlists
            WHERE display_id = :id
            RETURNING id, display_id
        )
        UPDATE displays d SET active_build_id = b.id FROM built b WHERE d.id = b.display_id
        """,
        id=_A,
    )
    assert _read(engine, Signal.DRY_BLOCKS)[_A] == (1, 2)


def test_changes_that_were_slow_and_requests_that_failed(engine: Engine) -> None:
    # The first one is of the step itself, which settles many displays at once.
    for minute, seconds in ((0, 9), (1, 1), (1, 2), (1, 3)):
        at = START + timedelta(minutes=minute)
        run(
            engine,
            "INSERT INTO reactions (display_id, changed_at, queued_at) VALUES (:id, :at, :then)",
            id=_A,
            at=at,
            then=at + timedelta(seconds=seconds),
        )
    assert _read(engine, Signal.SLOW) == {_A: (1, 3)}
    # A player that never tells when it starts a video says nothing of the screen.
    assert _read(engine, Signal.LATE_ON_SCREEN) == {}
    for minute in (-1, 0, 1):
        run(
            engine,
            "INSERT INTO display_requests VALUES (:id, :at, 10, :errors)",
            id=_B,
            at=START + timedelta(minutes=minute),
            errors=minute + 2,
        )
    assert _read(engine, Signal.API_ERRORS) == {_B: (5, 20)}


def test_changes_that_were_late_on_screen(engine: Engine) -> None:
    def change(display: str, seconds: float, started: float | None) -> None:
        at = START + timedelta(seconds=seconds)
        run(
            engine,
            "INSERT INTO reactions (display_id, changed_at, queued_at, started_at)"
            " VALUES (:id, :at, :at, :started)",
            id=display,
            at=at,
            started=started and at + timedelta(seconds=started),
        )

    # Of the step itself, in time, late, and never.
    for seconds, started in ((0, 99), (60, 1), (120, 30), (180, 30.1), (240, None)):
        change(_A, seconds, started)
    # Too young to be late.
    change(_A, 86_380, None)
    # A display that never told of a start.
    change(_B, 120, None)
    assert _read(engine, Signal.LATE_ON_SCREEN) == {_A: (2, 4)}
    change(_B, 300, 5)
    assert _read(engine, Signal.LATE_ON_SCREEN) == {_A: (2, 4), _B: (1, 2)}

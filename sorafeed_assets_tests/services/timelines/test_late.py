"""Late plays: each is recorded once and in order, and the display's own position wins."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError, NotFoundError
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.signing import PlannedPick
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.ahead import NextPick, ahead_of
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.services.timelines.late import LatePlay
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, queue_of, run

CODE = "AAAAA1"
BEGAN = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    """A display with loops of six videos."""
    add_posts(engine, "cats", 20)
    add_posts(engine, "dogs", 20)
    add_display(engine, CODE)
    add_playlist(engine, CODE, [("cats", 4), ("dogs", 2)])
    service = TimelineService(engine)
    service.repopulate([CODE])
    # It plays this playlist since before the server was away.
    run(engine, "UPDATE displays SET dedup_since = :began", began=BEGAN)
    return service


def _picks(engine: Engine, most: int) -> tuple[NextPick, ...]:
    return ahead_of(engine, CODE, most, pool_size=500, flags=Flags(engine)).picks


def _late(picks: Sequence[NextPick], *, skips: Sequence[int] = ()) -> list[LatePlay]:
    """The plays of picks by one player, ten seconds apart."""
    return [
        LatePlay(
            Play(
                CODE,
                pick.entry or uuid4(),
                number in skips,
                BEGAN + timedelta(seconds=10 * number),
            ),
            PlannedPick(CODE, pick.block_id, pick.video_id, pick.loop, pick.position),
            "",
        )
        for number, pick in enumerate(picks)
    ]


def _history(engine: Engine) -> list[Any]:
    return run(engine, "SELECT * FROM video_history ORDER BY played_at")


def _entries(engine: Engine) -> list[UUID]:
    return [row.timeline_video_id for row in _history(engine)]


def test_a_display_moves_through_all_plays_and_a_repeat_records_nothing(
    engine: Engine, service: TimelineService
) -> None:
    picks = _picks(engine, 40)
    plays = _late(picks[:33], skips=[7])
    answers = service.playback.advance_late(CODE, plays)
    rows = _history(engine)
    assert [row.timeline_video_id for row in rows] == [late.entry for late in plays]
    assert [row.video_id for row in rows] == [pick.video_id for pick in picks[:33]]
    assert [row.played_at for row in rows] == [late.play.at for late in plays]
    assert [number for number, row in enumerate(rows) if row.was_skipped] == [7]
    assert isinstance(answers[-1], Advance)
    assert (answers[-1].loop, answers[-1].position, answers[-1].queued) == (5, 3, 5)
    assert answers[-1].head_video_id == picks[33].video_id
    blocks = run(engine, "SELECT times_played FROM playlist_blocks ORDER BY block_order")
    assert [row.times_played for row in blocks] == [23, 10]
    assert check_queues(engine, [CODE], 5) == {}
    assert check_plans(engine, [CODE]) == {}
    again = service.playback.advance_late(CODE, plays)
    assert [type(answer) for answer in again] == [Advance] * 33
    assert _history(engine) == rows


@pytest.mark.parametrize("seed", range(3))
def test_calls_of_any_size_that_are_repeated_record_each_play_once(
    engine: Engine, service: TimelineService, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test's choice
    plays = _late(_picks(engine, 24))
    done = 0
    while done < len(plays):
        start = max(0, done - chance.randrange(4))
        done = min(len(plays), done + chance.randrange(1, 8))
        service.playback.advance_late(CODE, plays[start:done])
    assert _entries(engine) == [late.entry for late in plays]
    assert check_queues(engine, [CODE], 5) == {}
    assert [row.video_id for row in queue_of(engine, CODE)] == [
        pick.video_id for pick in _picks(engine, 5)
    ]


def test_a_changed_display_keeps_its_position_and_loses_no_play(
    engine: Engine, service: TimelineService
) -> None:
    plays = _late(_picks(engine, 12))
    add_playlist(engine, CODE, [("dogs", 3)])
    service.repopulate([CODE])
    before = queue_of(engine, CODE)
    answers = service.playback.advance_late(CODE, plays)
    assert _entries(engine) == [late.entry for late in plays]
    assert queue_of(engine, CODE) == before
    assert {(a.loop, a.position) for a in answers if isinstance(a, Advance)} == {(0, 0)}
    service.playback.advance_late(CODE, plays)
    assert len(_history(engine)) == 12


def test_a_display_that_was_moved_meanwhile_moves_on_from_there(
    engine: Engine, service: TimelineService
) -> None:
    plays = _late(_picks(engine, 9))
    for _ in range(3):
        service.playback.advance(CODE, queue_of(engine, CODE)[0].id, skipped=True, at=BEGAN)
    service.playback.advance_late(CODE, plays)
    # The first three rows were skipped by hand: they were played, and are not played again.
    assert len(_history(engine)) == 9
    head = queue_of(engine, CODE)[0]
    assert (head.loop_iteration, head.timeline_position) == (1, 3)
    assert check_queues(engine, [CODE], 5) == {}


def test_two_windows_of_a_display_move_it_once(engine: Engine, service: TimelineService) -> None:
    picks = _picks(engine, 10)
    one = _late(picks)
    other = [LatePlay(Play(CODE, uuid4(), at=each.play.at), each.pick, "") for each in one]
    service.playback.advance_late(CODE, one)
    service.playback.advance_late(CODE, other)
    assert sorted(_entries(engine)) == sorted(late.entry for late in [*one, *other])
    head = queue_of(engine, CODE)[0]
    assert (head.loop_iteration, head.timeline_position) == (1, 4)


def test_videos_that_were_passed_over_leave_the_queue_too(
    engine: Engine, service: TimelineService
) -> None:
    picks = _picks(engine, 6)
    plays = [late for number, late in enumerate(_late(picks)) if number not in (1, 2)]
    service.playback.advance_late(CODE, plays)
    head = queue_of(engine, CODE)[0]
    assert (head.loop_iteration, head.timeline_position) == (1, 0)
    told = [late.entry for late in plays]
    assert [entry for entry in _entries(engine) if entry in told] == told
    assert check_queues(engine, [CODE], 5) == {}


def test_the_id_of_another_display_s_play_and_an_unknown_display_are_refused(
    engine: Engine, service: TimelineService
) -> None:
    plays = _late(_picks(engine, 5)[:3])
    service.playback.advance_late(CODE, plays)
    add_display(engine, "AAAAA2")
    (answer,) = service.playback.advance_late("AAAAA2", plays[:1])
    assert isinstance(answer, NotFoundError)
    assert len(_history(engine)) == 3
    with pytest.raises(DisplayNotFoundError):
        service.playback.advance_late("NOSUCH", plays)

"""The timeline service on a real database: what is planned, kept, queued and recorded."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError, SorafeedError
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import (
    add_block,
    add_display,
    add_playlist,
    add_posts,
    queue_of,
    run,
    videos_of,
)

D = "AAAAAA"


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    return TimelineService(engine)


@pytest.fixture
def playlist(engine: Engine) -> UUID:
    """Two cats, two dogs, two birds, newest first; six posts of each."""
    for term in ("cats", "dogs", "birds"):
        add_posts(engine, term, 6)
    add_display(engine, D)
    return add_playlist(engine, D, [("cats", 2), ("dogs", 2), ("birds", 2)])


def built(service: TimelineService, display_id: str = D) -> BuildOutcome:
    outcome = service.repopulate([display_id])[display_id]
    assert isinstance(outcome, BuildOutcome), outcome
    return outcome


def display_of(engine: Engine, display_id: str = D) -> Any:
    (row,) = run(engine, "SELECT * FROM displays WHERE id = :id", id=display_id)
    return row


def versions_of(engine: Engine) -> list[Any]:
    """The version of every row that the service may write."""
    return run(
        engine,
        """
        SELECT 'd', id, xmin::text, ctid::text FROM displays
        UNION ALL SELECT 'v', id::text, xmin::text, ctid::text FROM timeline_videos
        UNION ALL SELECT 'b', id::text, xmin::text, ctid::text FROM timeline_builds
        UNION ALL SELECT 'p', id::text, xmin::text, ctid::text FROM playlists
        UNION ALL SELECT 'k', id::text, xmin::text, ctid::text FROM playlist_blocks
        UNION ALL SELECT 'h', id::text, xmin::text, ctid::text FROM video_history
        ORDER BY 1, 2
        """,
    )


def play(service: TimelineService, engine: Engine, times: int = 1) -> None:
    for _ in range(times):
        service.playback.advance(D, queue_of(engine, D)[0].id)


def test_a_new_playlist_is_planned_and_queued(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    before = display_of(engine).dedup_since
    outcome = built(service)
    assert outcome.changed
    assert (outcome.playlist_id, outcome.loop, outcome.position) == (playlist, 0, 0)
    assert (outcome.planned, outcome.queued, outcome.tiers) == (6, 5, {"new": 6})
    rows = queue_of(engine, D)
    assert [row.video_id for row in rows] == [
        "cats-0005",
        "cats-0004",
        "dogs-0005",
        "dogs-0004",
        "birds-0005",
    ]
    assert [row.timeline_position for row in rows] == [0, 1, 2, 3, 4]
    assert [row.block_position for row in rows] == [0, 1, 0, 1, 0]
    assert {row.build_id for row in rows} == {outcome.build_id}
    display = display_of(engine)
    assert display.active_build_id == outcome.build_id
    assert display.current_timeline_video_id == rows[0].id
    assert display.current_video_id == "cats-0005"
    assert display.dedup_since > before


def test_video_data_is_what_a_player_needs(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    run(engine, "INSERT INTO creators (id, username, display_name) VALUES ('c1', 'ann', 'Ann')")
    built(service)
    data = queue_of(engine, D)[0].video_data
    assert data["id"] == "cats-0005"
    assert data["text"].startswith("A video about cats")
    assert data["video_url"] == "https://videos.example/cats-0005.mp4"
    assert (data["width"], data["height"]) == (640, 352)
    assert data["creator"] == {"username": "ann", "display_name": "Ann"}
    assert datetime.fromisoformat(data["posted_at"]).tzinfo is not None
    assert data.keys() >= {"video_url_md", "thumbnail_url", "gif_url", "permalink"}


def test_the_same_inputs_write_nothing(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    first = built(service)
    for steps in (0, 1, 3, 2, 1):
        play(service, engine, steps)
        before = versions_of(engine)
        again = built(service)
        assert not again.changed
        assert versions_of(engine) == before
    assert again.position == 1
    assert again.loop == 1
    assert first.content_hash is not None


def test_an_edit_behind_the_head_replaces_only_what_follows(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    first = built(service)
    play(service, engine)
    rows = queue_of(engine, D)
    run(engine, "UPDATE playlist_blocks SET search_term = 'dogs' WHERE search_term = 'birds'")
    outcome = built(service)
    assert outcome.changed
    assert outcome.build_id != first.build_id
    assert outcome.position == 1
    after = queue_of(engine, D)
    assert [row.id for row in after[:3]] == [row.id for row in rows[:3]]
    assert [row.video_id for row in after[3:]] == ["dogs-0003", "dogs-0002"]
    assert after[0].status == "playing"
    assert {row.build_id for row in after} == {outcome.build_id}


def test_an_edit_before_the_head_keeps_the_playing_video(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    play(service, engine, 3)
    playing = queue_of(engine, D)[0]
    assert (playing.video_id, playing.timeline_position) == ("dogs-0004", 3)
    run(engine, "UPDATE playlist_blocks SET video_count = 3 WHERE search_term = 'dogs'")
    outcome = built(service)
    assert outcome.tiers == {"kept": 1, "new": 7}
    head, *rest = queue_of(engine, D)
    assert (head.id, head.video_id, head.status) == (playing.id, "dogs-0004", "playing")
    assert (head.timeline_position, outcome.position) == (2, 2)
    assert [row.video_id for row in rest] == ["dogs-0003", "dogs-0002", "dogs-0001", "birds-0005"]
    service.playback.advance(D, playing.id)
    assert not built(service).changed


def test_removing_and_adding_blocks(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    play(service, engine, 4)
    run(engine, "DELETE FROM playlist_blocks WHERE search_term = 'birds'")
    outcome = built(service)
    assert (outcome.position, outcome.tiers) == (4, {"new": 8, "kept": 1})
    with engine.begin() as connection:
        add_block(connection, playlist, 7, ("birds", 2))
    outcome = built(service)
    assert videos_of(engine, D)[:3] == ["birds-0005", "birds-0004", "birds-0003"]


def test_a_new_playlist_starts_over(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    play(service, engine, 3)
    add_playlist(engine, D, [("cats", 1), ("dogs", 1)])
    outcome = built(service)
    assert (outcome.loop, outcome.position) == (0, 0)
    assert videos_of(engine, D) == [
        "cats-0005",
        "dogs-0005",
        "cats-0004",
        "dogs-0004",
        "cats-0003",
    ]
    assert len(run(engine, "SELECT FROM video_history")) == 3


def test_without_an_active_playlist_the_queue_is_empty(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    run(engine, "UPDATE playlists SET is_active = false")
    outcome = built(service)
    assert (outcome.changed, outcome.build_id, outcome.queued) == (True, None, 0)
    assert queue_of(engine, D) == []
    assert display_of(engine).active_build_id is None
    assert not built(service).changed


def test_a_dry_block_is_reported_and_the_others_play(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    run(engine, "UPDATE playlist_blocks SET search_term = 'unicorns' WHERE search_term = 'dogs'")
    outcome = built(service)
    assert len(outcome.dry_blocks) == 1
    assert videos_of(engine, D)[:3] == ["cats-0005", "cats-0004", "birds-0005"]
    (build,) = run(engine, "SELECT dry_blocks FROM timeline_builds")
    assert build.dry_blocks == [str(outcome.dry_blocks[0])]


def test_a_display_whose_blocks_are_all_dry(service: TimelineService, engine: Engine) -> None:
    add_display(engine, D)
    add_playlist(engine, D, [("unicorns", 3)])
    outcome = built(service)
    assert (outcome.planned, outcome.queued, len(outcome.dry_blocks)) == (0, 0, 1)
    assert not built(service).changed
    add_posts(engine, "unicorns", 1)
    outcome = built(service)
    assert outcome.queued == 5
    assert videos_of(engine, D) == ["unicorns-0000"] * 5


def test_loops_follow_each_other(service: TimelineService, engine: Engine, playlist: UUID) -> None:
    built(service)
    shown = []
    for _ in range(18):
        shown.append(queue_of(engine, D)[0].video_id)
        play(service, engine)
        assert len(queue_of(engine, D)) == 5
    assert len(set(shown)) == 18
    display = display_of(engine)
    assert (display.loop_iteration, display.timeline_position) == (3, 0)
    (row,) = run(engine, "SELECT loop_count FROM playlists")
    assert row.loop_count == 3
    assert videos_of(engine, D)[0] == "cats-0005"
    blocks = run(engine, "SELECT times_played, last_played_at FROM playlist_blocks")
    assert [block.times_played for block in blocks] == [6, 6, 6]
    assert all(block.last_played_at is not None for block in blocks)
    assert len(run(engine, "SELECT FROM timeline_builds")) <= 5


def test_advancing_is_idempotent(service: TimelineService, engine: Engine, playlist: UUID) -> None:
    built(service)
    head = queue_of(engine, D)[0]
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    first = service.playback.advance(D, head.id, skipped=True, at=at)
    assert (first.video_id, first.played_at, first.skipped) == ("cats-0005", at, True)
    assert (first.loop, first.position, first.queued) == (0, 1, 5)
    assert first.head_video_id == "cats-0004"
    before = versions_of(engine)
    assert service.playback.advance(D, head.id) == first
    assert versions_of(engine) == before
    rows = queue_of(engine, D)
    assert [row.status for row in rows] == ["playing"] + ["queued"] * 4
    assert first.head_timeline_video_id == rows[0].id
    assert sorted(row.queue_slot for row in rows) == [0, 1, 2, 3, 4]


def test_advancing_past_rows_records_only_what_was_shown(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    play(service, engine)
    rows = queue_of(engine, D)
    service.playback.advance(D, rows[2].id)
    plays = run(engine, "SELECT video_id, was_skipped FROM video_history ORDER BY video_id")
    assert [tuple(row) for row in plays] == [
        ("cats-0004", True),
        ("cats-0005", False),
        ("dogs-0004", False),
    ]
    assert queue_of(engine, D)[0].id == rows[3].id


def test_what_cannot_be_advanced(service: TimelineService, engine: Engine, playlist: UUID) -> None:
    with pytest.raises(NotFoundError, match="no entry"):
        service.playback.advance(D, uuid4())
    with pytest.raises(NotFoundError, match="display ZZZZZZ"):
        service.playback.advance("ZZZZZZ", uuid4())
    built(service)
    row = queue_of(engine, D)[0]
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # what is refused
    with pytest.raises(InvalidInputError, match="time zone"):
        service.playback.advance(D, row.id, at=naive)
    add_display(engine, "BBBBBB")
    with pytest.raises(NotFoundError):
        service.playback.advance("BBBBBB", row.id)
    assert run(engine, "SELECT FROM video_history") == []


def test_one_bad_playlist_does_not_stop_the_others(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    first = built(service)
    add_display(engine, "BBBBBB")
    add_playlist(engine, "BBBBBB", [("cats", 1)])
    add_display(engine, "CCCCCC")
    add_playlist(engine, "CCCCCC", [])
    run(engine, "DELETE FROM playlist_blocks WHERE playlist_id = :id", id=playlist)
    outcomes = service.repopulate([D, "BBBBBB", "CCCCCC", "NOBODY"])
    assert isinstance(outcomes[D], InvalidInputError)
    assert isinstance(outcomes["BBBBBB"], BuildOutcome)
    assert isinstance(outcomes["CCCCCC"], SorafeedError)
    assert isinstance(outcomes["NOBODY"], NotFoundError)
    assert display_of(engine).active_build_id == first.build_id
    assert len(queue_of(engine, D)) == 5
    assert len(queue_of(engine, "BBBBBB")) == 5


def test_a_play_is_recorded_though_the_next_loop_cannot_be_planned(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    run(engine, "DELETE FROM playlist_blocks")
    play(service, engine, 6)
    assert len(run(engine, "SELECT FROM video_history")) == 6
    assert queue_of(engine, D) == []
    with engine.begin() as connection:
        add_block(connection, playlist, 0, ("cats", 2))
    assert built(service).queued == 5


def test_a_post_that_is_gone_is_planned_around(
    service: TimelineService, engine: Engine, playlist: UUID
) -> None:
    built(service)
    run(engine, "DELETE FROM sora_posts WHERE id = 'birds-0004'")
    play(service, engine)
    assert videos_of(engine, D)[-2:] == ["birds-0005", "birds-0003"]
    run(engine, "DELETE FROM sora_posts WHERE id IN ('cats-0004', 'dogs-0005')")
    built(service)
    assert videos_of(engine, D)[:3] == ["cats-0004", "dogs-0004", "dogs-0003"]
    assert queue_of(engine, D)[0].status == "playing"


def test_random_blocks_differ_by_display_and_loop(service: TimelineService, engine: Engine) -> None:
    add_posts(engine, "cats", 100)
    for display_id in (D, "BBBBBB"):
        add_display(engine, display_id)
        add_playlist(engine, display_id, [("cats", 5, "random")])
    service.repopulate([D, "BBBBBB"])
    assert videos_of(engine, D) != videos_of(engine, "BBBBBB")
    assert not any(
        isinstance(outcome, SorafeedError) or outcome.changed
        for outcome in service.repopulate([D, "BBBBBB"]).values()
    )


def test_formats(service: TimelineService, engine: Engine) -> None:
    add_posts(engine, "cats", 2)
    add_posts(engine, "cats", 2, start=2, size=(352, 640))
    add_posts(engine, "cats", 1, start=4, size=(None, None))
    add_display(engine, D)
    add_playlist(
        engine, D, [("cats", 1, "newest", f) for f in ("wide", "tall")] + [("cats", 1, "random")]
    )
    built(service)
    assert videos_of(engine, D)[:2] == ["cats-0001", "cats-0003"]
    add_playlist(engine, D, [("cats", 5)])
    built(service)
    assert set(videos_of(engine, D)) == {f"cats-000{number}" for number in range(5)}


@pytest.mark.parametrize("mode", ["newest", "random"])
def test_a_pool_played_dry_repeats_nothing(engine: Engine, mode: str) -> None:
    posts = set(add_posts(engine, "cats", 12))
    watch_term(engine, "cats")
    refresh_days(engine, None, pool_size=3)
    add_display(engine, D)
    add_playlist(engine, D, [("cats", 2, mode)])
    service = TimelineService(engine, window=4, candidates_per_pool=3)
    built(service)
    play(service, engine, 12)
    played = [row.video_id for row in run(engine, "SELECT video_id FROM video_history")]
    assert len(played) == 12
    assert set(played) == posts

"""The state of queues, as shown to users and sensors."""

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import NotFoundError, SorafeedError
from sorafeed_assets.services.timelines import builder
from sorafeed_assets.services.timelines.queues import (
    QueueStatus,
    low_displays,
    queue_status,
    stale_displays,
)
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.timelines.views import timeline_view
from sorafeed_assets.storage.timelines.queues import load_differing
from sorafeed_assets_tests.catalogue import (
    add_display,
    add_playlist,
    add_posts,
    queue_of,
    run,
    videos_of,
)

FULL, DRY, LOW, IDLE, NEW = "FULL11", "DRY111", "LOW111", "IDLE11", "NEW111"


@pytest.fixture
def displays(engine: Engine) -> Engine:
    add_posts(engine, "cats", 20)
    for display_id in (FULL, DRY, LOW, IDLE, NEW):
        add_display(engine, display_id)
    add_playlist(engine, FULL, [("cats", 7), ("unicorns", 2)])
    add_playlist(engine, DRY, [("unicorns", 2)])
    add_playlist(engine, LOW, [("cats", 1)])
    TimelineService(engine).repopulate([FULL, DRY, LOW, IDLE])
    add_playlist(engine, NEW, [("cats", 1)])
    run(
        engine,
        "DELETE FROM timeline_videos WHERE display_id = :id AND loop_iteration > 1",
        id=LOW,
    )
    return engine


def test_low_displays_have_more_in_their_plan(displays: Engine) -> None:
    assert low_displays(displays) == [LOW]
    assert low_displays(displays, low=2) == []
    TimelineService(displays).repopulate([LOW])
    assert low_displays(displays) == []


def test_the_status_counts_each_display_once(displays: Engine) -> None:
    assert queue_status(displays, 5) == QueueStatus(complete=1, low=2, dry=1, no_playlist=1)


def play_without_planning(engine: Engine, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play FULL's plan until ``left`` videos are queued, while further planning fails."""

    def fail(*_: object, **__: object) -> None:
        raise SorafeedError("no plan today")

    service = TimelineService(engine)
    with monkeypatch.context() as patch:
        patch.setattr(builder, "rebuild", fail)
        while len(queue := queue_of(engine, FULL)) > left:
            service.playback.advance(FULL, queue[0].id)


@pytest.mark.parametrize("left", [2, 1, 0])
def test_a_plan_that_ran_out_is_low(
    displays: Engine, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_without_planning(displays, left, monkeypatch)
    before = videos_of(displays, FULL)
    assert len(before) == left
    assert low_displays(displays) == [FULL, LOW]
    assert queue_status(displays, 5) == QueueStatus(complete=0, low=3, dry=1, no_playlist=1)
    TimelineService(displays).repopulate([FULL])
    queue = queue_of(displays, FULL)
    assert [row.video_id for row in queue][:left] == before
    assert len(queue) == 5
    assert queue[-1].loop_iteration == 1
    assert low_displays(displays) == [LOW]
    service = TimelineService(displays)
    service.playback.advance(FULL, queue[0].id)
    assert len(queue_of(displays, FULL)) == 5


@pytest.mark.parametrize("left", [2, 0])
def test_a_plan_that_ran_out_of_matches_is_not_low(
    displays: Engine, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_without_planning(displays, left, monkeypatch)
    run(displays, "UPDATE sora_posts SET text = 'a video about nothing'")
    assert low_displays(displays) == [LOW]
    run(displays, "UPDATE sora_posts SET text = 'cats'")
    assert low_displays(displays) == [FULL, LOW]
    # A playlist that cannot be planned is not reported either.
    run(displays, "DELETE FROM playlist_blocks WHERE video_count IN (7, 2)")
    assert low_displays(displays) == [LOW]


def test_stale_displays(displays: Engine) -> None:
    assert stale_displays(displays).keys() == {NEW}
    TimelineService(displays).repopulate([NEW])
    assert stale_displays(displays) == {}
    run(displays, "UPDATE playlists SET name = 'another name'")
    assert stale_displays(displays) == {}
    run(displays, "UPDATE playlist_blocks SET video_count = 3 WHERE video_count = 7")
    run(displays, "UPDATE playlists SET is_active = false WHERE display_id = :id", id=LOW)
    stale = stale_displays(displays)
    assert stale.keys() == {FULL, LOW}
    assert stale[LOW] == "none"
    outcomes = TimelineService(displays).repopulate(list(stale))
    version = getattr(outcomes[FULL], "playlist_version", None)
    assert stale[FULL].startswith(f"{version} in place of build ")
    assert stale_displays(displays) == {}


def test_only_playlists_that_differ_are_read(displays: Engine) -> None:
    """SQL and Python compute the same version, also for odd searches."""
    searches = ['it\'s "so" \\o/', "tab\there", "\x01\x7f", "ДЖАЗ 🎷", "a/b <i>", "ﬁ\u2028ß"]
    add_playlist(displays, NEW, [(search, 1) for search in searches])
    TimelineService(displays).repopulate([NEW])
    with displays.connect() as connection:
        assert load_differing(connection, None) == []
        run(
            displays,
            "UPDATE playlist_blocks SET search_term = 'x' WHERE search_term = 'a/b <i>'",
        )
        assert load_differing(connection, [FULL, NEW]) == [NEW]
        assert load_differing(connection, [FULL]) == []


def test_the_view_says_what_plays_and_why(displays: Engine) -> None:
    service = TimelineService(displays)
    view = timeline_view(displays, FULL)
    assert view.now is None
    assert [pick.position for pick in view.next] == [0, 1, 2, 3, 4]
    service.playback.advance(FULL, queue_of(displays, FULL)[0].id)
    view = timeline_view(displays, FULL)
    assert view.now is not None
    assert (view.now.position, view.now.tier, view.now.search_term) == (1, "new", "cats")
    assert [pick.position for pick in view.next] == [2, 3, 4, 5]
    assert [pick.position for pick in view.planned] == [6]
    assert list(view.dry_blocks.values()) == ["unicorns"]


def test_the_view_of_a_display_without_a_plan(displays: Engine) -> None:
    assert timeline_view(displays, IDLE).next == ()
    with pytest.raises(NotFoundError):
        timeline_view(displays, "NOBODY")

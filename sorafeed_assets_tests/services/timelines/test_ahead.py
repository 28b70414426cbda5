"""What players play without a server is what the server would have told them."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, event

from sorafeed_assets.domain.errors import DisplayNotFoundError, NotDrivenError
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.timelines.ahead import Ahead, ahead_of
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, queue_of, run

Look = Callable[[int], Ahead]
Place = tuple[int, int, str]


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    """A display with loops of seven videos, some of which have to repeat."""
    add_posts(engine, "cats", 9)
    add_posts(engine, "dogs", 2)
    add_posts(engine, "hens", 30)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cats", 3), ("dogs", 1), ("hens", 3, "random")])
    service = TimelineService(engine)
    service.repopulate(["AAAAA1"])
    return service


@pytest.fixture
def look(engine: Engine, settings: Settings) -> Iterator[Look]:
    """Look ahead on a connection that may not write."""
    reading = create_database_engine(str(settings.database_url), settings)
    event.listen(reading, "begin", lambda c: c.exec_driver_sql("SET TRANSACTION READ ONLY"))
    yield lambda most: ahead_of(reading, "AAAAA1", most, pool_size=500, flags=Flags(engine))
    reading.dispose()


def _places(ahead: Ahead) -> list[Place]:
    return [(pick.loop, pick.position, pick.video_id) for pick in ahead.picks]


def _play(engine: Engine, service: TimelineService, times: int) -> list[Place]:
    played = []
    for _ in range(times):
        head = queue_of(engine, "AAAAA1")[0]
        service.playback.begin("AAAAA1", head.id, lambda *_: None)
        service.playback.advance("AAAAA1", head.id)
        played.append((head.loop_iteration, head.timeline_position, head.video_id))
    return played


@pytest.mark.parametrize("before", [0, 4])
def test_it_is_exactly_what_then_plays(
    engine: Engine, service: TimelineService, look: Look, before: int
) -> None:
    _play(engine, service, before)
    ahead = look(45)
    assert len(ahead.picks) == 45
    entries = [pick.entry for pick in ahead.picks if pick.entry]
    assert entries == [row.id for row in queue_of(engine, "AAAAA1")]
    assert _places(ahead) == _play(engine, service, 45)


def test_it_goes_round_the_last_whole_loop(service: TimelineService, look: Look) -> None:
    ahead = look(17)
    assert [pick.loop for pick in ahead.picks] == [0] * 7 + [1] * 7 + [2] * 3
    assert ahead.round == 7
    # A loop that is longer than asked for.
    assert look(5).round == 0


def test_a_display_without_a_plan_has_nothing_ahead(engine: Engine, look: Look) -> None:
    with pytest.raises(DisplayNotFoundError):
        look(10)
    add_display(engine, "AAAAA1")
    ahead = look(10)
    assert (ahead.build_id, ahead.picks, ahead.round, ahead.state) == (None, (), 0, "playing")


def test_the_old_system_s_display_has_no_plan_here(
    engine: Engine, service: TimelineService, look: Look
) -> None:
    with engine.begin() as connection:
        Flags(engine).set_displays(connection, DRIVER, ["AAAAA1"], "old", by="test", why="test")
    with pytest.raises(NotDrivenError):
        look(10)
    assert run(engine, "SELECT FROM video_history") == []

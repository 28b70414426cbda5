"""Every display is in exactly one class, whatever its state; the classes add up to all displays."""

from collections import Counter
from itertools import count
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.timelines.queues import QueueClass, queue_classes, queue_status
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, run

_EXPECTED: Final = {
    "plays": QueueClass.COMPLETE,
    "one match": QueueClass.COMPLETE,
    "a dry block": QueueClass.COMPLETE,
    "only dry blocks": QueueClass.DRY,
    "played out": QueueClass.LOW,
    "not planned": QueueClass.LOW,
    "inactive": QueueClass.NO_PLAYLIST,
    "empty": QueueClass.NO_PLAYLIST,
    "old, plays": QueueClass.OLD_SYSTEM,
    "old, empty": QueueClass.OLD_SYSTEM,
}
_numbers = count()


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(states=st.lists(st.sampled_from(sorted(_EXPECTED)), max_size=8))
def test_every_display_is_in_exactly_one_class(engine: Engine, states: list[str]) -> None:
    run(engine, "DELETE FROM displays")
    if not next(_numbers):
        add_posts(engine, "cats", 20)
        add_posts(engine, "a lone dog", 1)
    walls = {f"AAAA{number:02}": state for number, state in enumerate(states)}
    for code, state in walls.items():
        _make(engine, code, state)
    classes = queue_classes(engine, 5)
    assert classes == {code: _EXPECTED[state] for code, state in walls.items()}
    status = queue_status(engine, 5)
    numbers = {each: getattr(status, each.value) for each in QueueClass}
    assert numbers == {each: Counter(classes.values())[each] for each in QueueClass}
    assert sum(numbers.values()) == len(walls)


def _make(engine: Engine, code: str, state: str) -> None:
    add_display(engine, code)
    _drive(engine, code, "new")  # an earlier example may have left it to the old system
    if "empty" not in state:
        blocks = {
            "one match": [("lone dog", 3)],
            "a dry block": [("cats", 6), ("unicorns", 1)],
            "only dry blocks": [("unicorns", 2)],
        }
        add_playlist(engine, code, blocks.get(state, [("cats", 7)]))
        if state != "not planned":
            TimelineService(engine).repopulate([code])
    if state == "not planned":
        run(engine, "UPDATE playlists SET is_active = true WHERE display_id = :id", id=code)
    if state == "inactive":
        run(engine, "UPDATE playlists SET is_active = false WHERE display_id = :id", id=code)
    if state == "played out":
        run(engine, "DELETE FROM timeline_videos WHERE display_id = :id", id=code)
    if state.startswith("old"):
        _drive(engine, code, "old")


def _drive(engine: Engine, code: str, driver: str) -> None:
    with engine.begin() as connection:
        Flags(engine).set_displays(connection, DRIVER, [code], driver, by="test", why="test")

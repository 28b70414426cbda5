"""The checks after a run: each finds what it is there for, and nothing in a sound system."""

from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.chaos.checks import cached_rightly, check_all, wait_until_quiet
from sorafeed_assets.chaos.outcome import Outcome
from sorafeed_assets.chaos.players import Told
from sorafeed_assets.chaos.writers import Written
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.materialize import materialize_all
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import timeline_key
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.launch.reacting import add_wall

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

_DISPLAYS = ["AAAAA1"]


def test_every_check_finds_its_fault(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    add_wall(engine)
    materialize_all(addressed, instance)
    connections = Connections(addressed)
    told, written = Told(), Written()

    def broken() -> set[str]:
        found = check_all(connections, instance, _DISPLAYS, told, written)
        outcome = Outcome((), found, (), ())
        assert outcome.is_well == (not any(each.broken for each in found))
        assert len(found) == 16
        return {each.name for each in found if each.broken}

    try:
        entry = queue_of(engine, "AAAAA1")[0].id
        TimelineService(engine).advance("AAAAA1", entry)
        connections.settler.settle(_DISPLAYS)
        told.sent.add(str(entry))
        told.acknowledged[str(entry)] = "AAAAA1"
        written.posts.append(queue_of(engine, "AAAAA1")[0].video_id)
        (playlist,) = run(engine, "SELECT id::text AS id FROM playlists")
        written.playlists.append(playlist.id)
        assert wait_until_quiet(connections, lambda: True, seconds=1) is None or not broken()
        assert broken() == set()

        told.acknowledged[str(uuid4())] = "AAAAA1"
        told.sent.clear()
        told.waiting = 1
        written.posts.append("none")
        written.playlists.append(str(uuid4()))
        run(engine, "DELETE FROM timeline_videos WHERE timeline_position = 3")
        connections.redis.set(timeline_key("AAAAA1"), "{}")
        run(engine, "UPDATE video_counts_daily SET count = count + 1")
        found = broken()
    finally:
        connections.close()
    assert {
        "acknowledged plays lost",
        "plays stored that no player told",
        "plays still in an outbox",
        "queues broken",
        "acknowledged edits lost",
        "committed posts lost",
        "counts wrong or stale",
        "values in Redis wrong",
    } <= found


def test_quiet_is_waited_for(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    add_wall(engine)
    connections = Connections(addressed)
    try:
        assert wait_until_quiet(connections, lambda: True, seconds=0.5) is None
        materialize_all(addressed, instance)
        assert wait_until_quiet(connections, lambda: False, seconds=0.5) is None
        quiet = wait_until_quiet(connections, lambda: not cached_rightly(connections, _DISPLAYS))
        assert quiet is not None
    finally:
        connections.close()

"""The checks after a run: each finds its fault and no other, and nothing in a sound system."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.chaos.checks import Invariant, cached_rightly, check_all, wait_until_quiet
from sorafeed_assets.chaos.outcome import Outcome
from sorafeed_assets.chaos.players import Told
from sorafeed_assets.chaos.writers import Written
from sorafeed_assets.defs.dagster_internals import LINEAGE_TAG
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import record_waiting, recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.materialize import materialize_all
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import timeline_key
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

_DISPLAY: Final = "AAAAA1"
_ALL: Final = 17
_COPIED: Final = (
    "INSERT INTO video_history (display_id, video_id, loop_iteration, timeline_video_id)"
    " SELECT display_id, video_id, loop_iteration,"
)
# Without triggers and foreign keys, so that only the row itself is broken.
_NO_TRIGGERS: Final = "SET LOCAL session_replication_role = replica"


@dataclass(frozen=True, slots=True)
class Sound:
    """A wall with a play, an edit and a post, all of it settled, cached and recorded."""

    settings: Settings
    instance: dg.DagsterInstance
    told: Told
    written: Written


@dataclass(slots=True)
class Fault:
    """What is broken: rows by SQL, or what the players told.

    Attributes:
        check: the check that has to find it.
        statements: they break it.
        also: further checks that find it, because it breaks more than one thing.
        told: changes what the players told.
    """

    check: str
    statements: Sequence[str] = ()
    also: frozenset[str] = frozenset()
    told: Callable[[Told], Told] = field(default=lambda told: told)


_FAULTS: Final = [
    Fault("acknowledged plays lost", ["DELETE FROM video_history"]),
    Fault(
        "plays stored twice",
        [
            "ALTER TABLE video_history DROP CONSTRAINT video_history_timeline_video_id_key",
            f"{_COPIED} timeline_video_id FROM video_history",
        ],
    ),
    Fault(
        "plays stored that no player reported",
        [f"{_COPIED} gen_random_uuid() FROM video_history"],
    ),
    Fault("plays still in an outbox", told=lambda told: replace(told, waiting=1)),
    Fault(
        "queues broken",
        [
            (
                "DELETE FROM timeline_videos WHERE timeline_position ="
                " (SELECT max(timeline_position) FROM timeline_videos)"
            )
        ],
        also=frozenset({"values in Redis wrong"}),
    ),
    Fault(
        "displays that play another playlist than the active one",
        ["UPDATE timeline_videos SET playlist_id = (SELECT id FROM playlists WHERE NOT is_active)"],
    ),
    Fault(
        "excluded posts queued",
        [
            (
                "INSERT INTO blocklist (kind, target_id, excluded_by)"
                " SELECT 'post', video_id, 'test' FROM timeline_videos LIMIT 1"
            )
        ],
        also=frozenset({"counts wrong or stale", "changes that still wait"}),
    ),
    Fault(
        "plans that break a rule",
        [
            (
                "UPDATE timeline_builds SET plan ="
                """ jsonb_set(plan, '{loops,0,picks,7,video_id}', '"x"')"""
            )
        ],
        also=frozenset({"plans not made again the same"}),
    ),
    Fault(
        "plans not made again the same",
        [
            (
                "UPDATE timeline_builds SET inputs = jsonb_set(inputs, '{playlist_version}',"
                """ '"another"')"""
            )
        ],
    ),
    Fault("acknowledged edits lost", ["DELETE FROM playlists WHERE NOT is_active"]),
    Fault("committed posts lost", ["DELETE FROM sora_posts WHERE text LIKE '%dog video%'"]),
    Fault("counts wrong or stale", ["UPDATE video_counts_daily SET count = count + 1"]),
    Fault(
        "pools wrong",
        [
            (
                "DELETE FROM video_candidates WHERE pool = 'newest' AND post_id ="
                " (SELECT min(post_id) FROM video_candidates)"
            )
        ],
    ),
    Fault("recorded differs from stored", ["UPDATE count_digests SET digest = digest + 1"]),
    Fault(
        "changes that still wait",
        [f"INSERT INTO display_changes (display_id) VALUES ('{_DISPLAY}')"],
    ),
]


@pytest.fixture
def sound(engine: Engine, addressed: Settings, instance: dg.DagsterInstance) -> Sound:
    add_posts(engine, "cat video", 12)
    add_display(engine, _DISPLAY)
    playlists = [add_playlist(engine, _DISPLAY, [("cat video", 8)]) for _ in range(2)]
    materialize_all(addressed, instance)
    (post,) = add_posts(engine, "dog video", 1)
    told, written = Told(), Written()
    with closing(Connections(addressed)) as connections:
        entry = queue_of(engine, _DISPLAY)[0].id
        TimelineService(engine).playback.advance(_DISPLAY, entry)
        told.sent.add(str(entry))
        told.acknowledged[str(entry)] = _DISPLAY
        written.posts.append(post)
        written.playlists += [str(playlist) for playlist in playlists]
        # What `react` does: jobs of terms that a run has counted are dropped, not counted again.
        connections.settler.apply_posts()
        connections.settler.count_waiting_terms()
        connections.settler.settle([_DISPLAY])
        connections.settler.cache_overview()
        assets = recorded_assets(build_definitions(addressed, connections).resolve_asset_graph())
        record_waiting(connections, instance, assets)
    engine.dispose()
    return Sound(addressed, instance, told, written)


def _check(sound: Sound, settings: Settings, told: Told) -> list[Invariant]:
    with closing(Connections(settings)) as connections:
        return check_all(connections, sound.instance, [_DISPLAY], told, sound.written)


def _broken(found: Sequence[Invariant]) -> dict[str, Sequence[str]]:
    return {each.name: each.broken for each in found if each.broken}


@contextmanager
def _copy(settings: Settings, postgres: EmbeddedPostgres, number: int) -> Iterator[Settings]:
    """The settings with a copy of their database."""
    template = str(settings.database_url).rpartition("/")[2]
    name = f"{template}_broken_{number}"
    url = postgres.create_database(name, template)
    try:
        yield Settings.model_validate({**settings.model_dump(), "database_url": url})
    finally:
        postgres.drop_database(name)


def test_every_check_finds_its_fault_and_no_other(
    sound: Sound, postgres: EmbeddedPostgres, subtests: pytest.Subtests
) -> None:
    found = _check(sound, sound.settings, sound.told)
    assert _broken(found) == {}
    assert len(found) == _ALL
    assert Outcome((), found, (), ()).is_well
    named = {each.name for each in found}

    for number, fault in enumerate(_FAULTS):
        with (
            subtests.test(fault.check),
            _copy(sound.settings, postgres, number) as settings,
            closing(Connections(settings)) as connections,
        ):
            with connections.engine.begin() as connection:
                connection.execute(text(_NO_TRIGGERS))
                for statement in fault.statements:
                    connection.execute(text(statement))
            found = _check(sound, settings, fault.told(sound.told))
            assert _broken(found).keys() == {fault.check, *fault.also}, _broken(found)
            assert not Outcome((), found, (), ()).is_well
        named.discard(fault.check)

    with subtests.test("values in Redis wrong"), closing(Connections(sound.settings)) as there:
        key = timeline_key(_DISPLAY)
        kept = there.redis.get(key)
        there.redis.set(key, "{}", keepttl=True)
        found = _check(sound, sound.settings, sound.told)
        there.redis.set(key, str(kept), keepttl=True)
        assert _broken(found).keys() == {"values in Redis wrong", "recorded differs from stored"}
    named.discard("values in Redis wrong")

    with subtests.test("records given to Dagster twice"):
        asset = dg.AssetKey("display_timelines")
        (last,) = sound.instance.fetch_materializations(asset, limit=1).records
        event = last.asset_materialization
        assert event is not None
        assert LINEAGE_TAG in (event.tags or {})
        sound.instance.report_runless_asset_event(event)
        found = _check(sound, sound.settings, sound.told)
        assert _broken(found).keys() == {"records given to Dagster twice"}, _broken(found)
    named.discard("records given to Dagster twice")
    assert named == set(), "checks without a fault of their own"


def test_quiet_is_waited_for(sound: Sound) -> None:
    with closing(Connections(sound.settings)) as connections:

        def is_cached() -> bool:
            return not cached_rightly(connections, [_DISPLAY])

        assert wait_until_quiet(connections, is_cached, seconds=60.0) is not None
        assert wait_until_quiet(connections, lambda: False, seconds=0.5) is None
        run(connections.engine, "INSERT INTO display_changes (display_id) VALUES ('AAAAA1')")
        assert wait_until_quiet(connections, is_cached, seconds=0.5) is None

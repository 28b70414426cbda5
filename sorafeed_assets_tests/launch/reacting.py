"""`React` in the process of a test, and the state that it must reach."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import dagster as dg
from sqlalchemy import Engine

from sorafeed_assets.defs.dagster_internals import LINEAGE_TAG
from sorafeed_assets.defs.lineage.compare import read_lineage
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import record_waiting, recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.react import React
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

WAITING = "SELECT FROM lineage_records WHERE recorded_at IS NULL"
_UNSETTLED = """
SELECT FROM display_changes UNION ALL SELECT FROM catalog_changes UNION ALL SELECT FROM count_jobs
UNION ALL (SELECT FROM blocklist AS b WHERE NOT EXISTS (
    SELECT FROM counted_blocklist AS c WHERE (c.kind, c.target_id) = (b.kind, b.target_id)))
UNION ALL (SELECT FROM counted_blocklist AS c WHERE NOT EXISTS (
    SELECT FROM blocklist AS b WHERE (c.kind, c.target_id) = (b.kind, b.target_id)))
"""


@contextmanager
def reacting(settings: Settings, instance: dg.DagsterInstance) -> Iterator[React]:
    """A `React` in this process that leads, and has done what an earlier one left unfinished."""
    process = React(settings, instance)
    thread = Thread(target=process.run)
    thread.start()
    try:
        wait_until(lambda: process.is_leading, "the lease")
        wait_until(lambda: process.is_caught_up, "what an earlier process left")
        yield process
    finally:
        process.stop()
        thread.join(60)
        assert not thread.is_alive()


def events_of(instance: dg.DagsterInstance, asset: str) -> list[str]:
    """The lineage records that Dagster's events of an asset name, newest first."""
    key = dg.AssetKey(asset)
    events = [
        record.asset_materialization or record.asset_observation
        for fetch in (instance.fetch_materializations, instance.fetch_observations)
        for record in fetch(key, limit=10_000).records
    ]
    return [(event.tags or {})[LINEAGE_TAG] for event in events if event is not None]


def assert_recorded_once(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Assert that the stored state is recorded, nothing waits, and no record has two events."""
    connections = Connections(settings)
    assets = recorded_assets(build_definitions(settings, connections).resolve_asset_graph())
    # The last records of a process that was stopped wait for the next one.
    record_waiting(connections, instance, assets)
    lineage = read_lineage(connections, instance, assets)
    connections.close()
    assert lineage.differing == {}, lineage.differing
    assert lineage.waiting == 0, lineage
    twice = Counter(record for asset in assets for record in events_of(instance, asset.name))
    assert twice
    assert [record for record, events in twice.items() if events > 1] == []


def is_quiet(engine: Engine) -> bool:
    """Whether nothing is left to be applied, counted, settled or recorded."""
    return not run(engine, _UNSETTLED) and not run(engine, WAITING)


def add_wall(engine: Engine) -> None:
    """Twelve posts, and a display that plays them."""
    add_posts(engine, "cat video", 12)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 8)])

"""Giving lineage records to Dagster, and repairing them, during further changes."""

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.defs import recording
from sorafeed_assets.defs.lineage import mend as mending
from sorafeed_assets.defs.recording import (
    FollowedDisplays,
    follow_displays,
    record_asset,
    record_waiting,
    recorded_assets,
)
from sorafeed_assets.services.lineage import StoredLineage, read_stored
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts


def test_a_display_that_comes_while_records_are_given_is_recorded(wall: Dagster) -> None:
    wall.record()
    add_display(wall.connections.engine, "CCCCC3")
    add_playlist(wall.connections.engine, "CCCCC3", [("video", 2)])
    wall.connections.settler.settle_changed()
    assert "CCCCC3" not in wall.instance.get_dynamic_partitions("displays")
    for asset in recorded_assets(wall.definitions.resolve_asset_graph()):
        record_asset(wall.connections, wall.instance, asset)
    assert "CCCCC3" in wall.versions("display_timelines")
    assert wall.lineage().differing == {}


def test_what_is_recorded_while_all_is_compared_is_not_mended(
    wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = wall.connections
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    mending.mend(connections, wall.instance, assets)
    wall.record()

    def read_and_change(engine: Engine, redis: Redis | None) -> StoredLineage:
        found = read_stored(engine, redis)
        add_posts(engine, "cat video", 3, prefix="new")
        assert connections.settler.apply_posts() == 3
        return found

    monkeypatch.setattr(mending, "read_stored", read_and_change)
    assert mending.mend(connections, wall.instance, assets) == set()
    monkeypatch.undo()
    wall.record()
    assert wall.lineage().differing == {}


def test_displays_are_followed_without_reading_all_each_time(
    wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, instance = wall.connections, wall.instance
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    looks: list[None] = []

    def counted(*asked: object) -> None:
        looks.append(None)
        follow_displays(connections, instance)

    monkeypatch.setattr(recording, "follow_displays", counted)
    followed = FollowedDisplays()

    def record() -> tuple[int, set[str]]:
        looks.clear()
        record_waiting(connections, instance, assets, followed)
        return len(looks), set(instance.get_dynamic_partitions("displays"))

    assert record() == (1, {"AAAAA1", "BBBBB2"})
    assert record() == (0, {"AAAAA1", "BBBBB2"})
    run(connections.engine, "UPDATE playlist_blocks SET video_count = 2")
    connections.settler.settle_changed()
    assert record() == (0, {"AAAAA1", "BBBBB2"})
    run(connections.engine, "DELETE FROM displays WHERE id = 'AAAAA1'")
    connections.settler.settle_changed()
    assert record() == (1, {"BBBBB2"})
    # One is deleted and one added: as many as before, but a record of the new one waits.
    run(connections.engine, "DELETE FROM displays WHERE id = 'BBBBB2'")
    add_display(connections.engine, "CCCCC3")
    connections.settler.settle_changed()
    assert record() == (1, {"CCCCC3"})
    assert wall.lineage().differing == {}

"""Giving lineage records to Dagster: a display that came meanwhile is not passed over."""

from sorafeed_assets.defs.recording import record_asset, recorded_assets
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import add_display, add_playlist


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

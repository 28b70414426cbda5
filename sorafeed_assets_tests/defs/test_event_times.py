"""The UI lists an asset's events by millisecond: each event of a batch has one of its own."""

import dagster as dg

from sorafeed_assets.defs.dagster_internals import store_events
from sorafeed_assets_tests.defs.conftest import Dagster

_KEY = dg.AssetKey("display_timelines")


def test_events_of_a_batch_are_told_apart_by_time(dagster: Dagster) -> None:
    for batch in range(2):
        names = [f"B{batch}{number:04}" for number in range(50)]
        store_events(
            dagster.instance, [dg.AssetMaterialization(_KEY, partition=n) for n in names], None
        )
    records = dagster.instance.fetch_materializations(_KEY, limit=1_000).records
    times = [round(record.timestamp * 1_000) for record in reversed(records)]
    assert len(set(times)) == len(times) == 100
    assert times == sorted(times)

"""The assets of comparing on a real Dagster instance: runs, records, checks and observations."""

from collections.abc import Iterator

import dagster as dg
import pytest
from pydantic import PostgresDsn

from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.legacy.reconcile import parts, reconcile
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.shadow.sides import Sides, posts

_JOB = "compare_with_old"


@pytest.fixture
def wall(sides: Sides) -> Sides:
    """A display that shows tea, followed."""
    sides.scan(posts("tea", 12))
    sides.file.add_display("HALL01")
    sides.file.add_playlist("HALL01", "day", [("tea", 4)])
    sides.follow()
    return sides


@pytest.fixture
def dagster(wall: Sides, settings: Settings) -> Iterator[Dagster]:
    """An instance whose definitions know the old side; its gate asks for one day."""
    there = settings.model_copy(
        update={
            "legacy_catalog_url": PostgresDsn(wall.url),
            "legacy_queues": wall.file.path,
            "shadow_gate_days": 1,
            "shadow_database_share": 1.0,
            "shadow_statement_seconds": 60,
        }
    )
    connections = Connections(there)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(instance, build_definitions(there, connections), connections)
    connections.close()


def test_a_run_compares_records_and_checks(dagster: Dagster, wall: Sides) -> None:
    run = dagster.run(_JOB)
    assert run.success
    checks = [(e.check_name, e.passed) for e in run.get_asset_check_evaluations()]
    assert sorted(checks) == [
        ("gate_is_open", True), ("nothing_unexplained", True), ("nothing_unexplained", True)
    ]  # fmt: skip
    recorded = len(dagster.recorded("shadow_counts"))
    assert recorded >= 1
    assert dagster.recorded("shadow_timelines")
    assert set(wall.outcomes("count")) == {"tea mixed", "tea tall", "tea wide"}
    # Nothing is due again today; the run says so by an event of its own.
    versions = dagster.versions("shadow_counts")
    assert dagster.run(_JOB).success
    assert dagster.versions("shadow_counts") == versions
    assert len(dagster.recorded("shadow_counts")) == recorded + 1


def test_an_unexplained_difference_fails_the_checks(dagster: Dagster, wall: Sides) -> None:
    assert dagster.run(_JOB).success
    assert dagster.culprits("shadow_counts:gate_is_open") == ""
    wall.write("UPDATE video_counts_daily SET count = 99 WHERE term = 'tea' AND format = 'mixed'")
    wall.write("UPDATE shadow_comparisons SET compared_at = now() - interval '1 day'")
    assert dagster.run(_JOB).success
    found = dagster.culprits("shadow_counts:nothing_unexplained")
    assert found == "tea mixed: 2026-03-01: 99 counted here, where 12 posts match"
    assert "1 unexplained difference in" in dagster.culprits("shadow_counts:gate_is_open")
    assert dagster.culprits("shadow_timelines:nothing_unexplained") == ""


def test_the_old_posts_are_observed_by_day(dagster: Dagster, wall: Sides) -> None:
    def observed() -> list[tuple[str | None, str]]:
        key = dg.AssetKey("legacy_posts")
        records = dagster.instance.fetch_observations(key, limit=100).records
        events = [record.asset_observation for record in reversed(records)]
        return [
            (event.partition, (event.tags or {})["dagster/data_version"])
            for event in events
            if event is not None
        ]

    def compare() -> None:
        with old_catalog(wall.url) as old:
            for part in parts(wall.engine, old):
                reconcile(wall.engine, old, part)

    compare()
    dagster.record()
    ((day, version),) = observed()
    assert day == "2026-03-01"
    assert version.startswith("12-")
    compare()
    dagster.record()
    assert observed() == [(day, version)]  # it did not change
    wall.old("UPDATE sora_posts SET text = 'other' WHERE id = 's_tea_003'")
    compare()
    dagster.record()
    assert len({found for _, found in observed()}) == 2

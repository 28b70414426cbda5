"""Each step of a rollout is an event of its partition; Dagster evaluates what `react` does not."""

from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.defs.lineage.mend import mend
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import recorded_assets
from sorafeed_assets.domain.rollouts.machine import Status
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.services.rollouts.rolling import NAME, PLAN
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_LATE = timedelta(seconds=80)


def _events(dagster: Dagster) -> list[tuple[str | None, object, object]]:
    """Partition, status and share of each event of the asset, the oldest first."""
    records = dagster.instance.fetch_materializations(dg.AssetKey("rollouts"), limit=100).records
    events = [record.asset_materialization for record in reversed(records)]
    return [
        (event.partition, event.metadata["status"].value, event.metadata["percent"].value)
        for event in events
        if event is not None
    ]


@pytest.fixture
def rolling(engine: Engine, dagster: Dagster) -> Dagster:
    """A small wall under a rollout."""
    add_posts(engine, "cat video", 40)
    for number in range(8):
        add_display(engine, f"WALL{number:02}")
        add_playlist(engine, f"WALL{number:02}", [("cat video", 5)])
    while dagster.connections.settler.settle_changed():
        pass
    dagster.connections.rollouts.start(PLAN, by="test")
    return dagster


def test_steps_are_events_of_the_partition(rolling: Dagster) -> None:
    rollouts = rolling.connections.rollouts
    rollouts.force(NAME, 40.0, by="anna", why="urgent")
    rolling.record()
    rollouts.stop(NAME, by="anna", why="no more")
    rolling.record()
    assert _events(rolling) == [
        (NAME, "running", 25.0),
        (NAME, "forced", 40.0),
        (NAME, "stopped", 0.0),
    ]
    assert rolling.check("rollouts:lineage_is_true").passed


def test_the_sensor_evaluates_what_is_late(engine: Engine, rolling: Dagster) -> None:
    (result,) = rolling.tick("late_rollouts")
    assert result.success
    stored, _ = rolling.connections.rollouts.one(NAME)
    assert stored.evaluated_at is not None
    # What waited is recorded by the run: the rollout's start.
    assert _events(rolling) == [(NAME, "running", 25.0)]
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks == {"lineage_is_true": True}
    # It was evaluated just now, by whoever it was.
    assert rolling.tick("late_rollouts") == []
    run(engine, "UPDATE rollouts SET evaluated_at = evaluated_at - :late", late=_LATE)
    assert rolling.connections.rollouts.due() == [NAME]
    rolling.connections.rollouts.stop(NAME, by="anna", why="no more")
    assert rolling.tick("late_rollouts") == []


def test_a_rollout_by_hand_is_an_event_even_if_nothing_changed(rolling: Dagster) -> None:
    rolling.record()
    result = rolling.run("evaluate_rollouts", tags={"dagster/partition": NAME})
    assert result.success
    assert _events(rolling) == [(NAME, "running", 25.0)] * 2


def test_an_edited_row_and_a_replaced_dagster_are_mended(
    engine: Engine, rolling: Dagster, settings: Settings
) -> None:
    rolling.record()
    run(engine, "UPDATE rollouts SET status = 'stopped'")
    assets = recorded_assets(rolling.definitions.resolve_asset_graph())
    assert "rollouts" in mend(rolling.connections, rolling.instance, assets)
    rolling.record()
    assert _events(rolling)[-1] == (NAME, Status.STOPPED.value, 25.0)
    with dg.DagsterInstance.ephemeral() as empty:
        replaced = Dagster(empty, build_definitions(settings, rolling.connections),
                           rolling.connections)  # fmt: skip
        mend(replaced.connections, empty, assets)
        replaced.record()
        assert _events(replaced) == [(NAME, Status.STOPPED.value, 25.0)]

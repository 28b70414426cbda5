"""dagster.yaml, read by a real instance that keeps everything in Postgres."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from sqlalchemy import Engine

from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.defs.conftest import Dagster


@pytest.fixture
def instance(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[dg.DagsterInstance]:
    """An instance of the project's dagster.yaml, in a database of its own."""
    with dagster_database(settings, postgres) as addressed, open_instance(addressed) as opened:
        yield opened


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_instance_is_as_dagster_yaml_says(
    instance: dg.DagsterInstance, engine: Engine, wall: Dagster
) -> None:
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
    assert not instance.telemetry_enabled
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    concurrency = instance.get_concurrency_config()
    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.max_concurrent_runs == 4
    assert concurrency.pool_config.default_pool_limit == 1
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 1
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert instance.run_monitoring_enabled
    assert instance.get_settings("retention")["schedule"] == {"purge_after_days": 30}

    # Runs, events and the sensors' queries work on this storage too.
    on_postgres = Dagster(instance, wall.definitions, wall.connections)
    on_postgres.tick_all()
    assert set(on_postgres.versions("display_timelines")) == {"AAAAA1", "BBBBB2"}
    assert on_postgres.tick("unsettled") == []
    run(engine, "DELETE FROM timeline_videos WHERE display_id = 'AAAAA1' AND queue_slot > 1")
    (filled,) = on_postgres.tick("unsettled")
    assert filled.success
    assert len(videos_of(engine, "AAAAA1")) == 5
    assert on_postgres.lineage().differ == 0

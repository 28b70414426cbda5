"""A real Dagster instance, and a daemon in small: ticks sensors, runs what they ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.definitions import build_definitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.settings import Settings


@dataclass
class Dagster:
    """Definitions on an instance; what a daemon does, one step at a time."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions
    connections: Connections
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    def run(
        self,
        job: str,
        *,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, object] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Execute a job to its end."""
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags=dict(tags or {}),
            run_config=dict(config or {}),
            raise_on_error=False,
        )
        self.runs.append(result)
        return result

    def tick(self, sensor: str) -> list[dg.ExecuteInProcessResult]:
        """Evaluate a sensor, do what it asks for, and execute the runs."""
        definition = self.definitions.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            sensor_name=sensor,
            resources={"connections": self.connections},
        )
        data = definition.evaluate_tick(context)
        for request in data.dynamic_partitions_requests or []:
            name = request.partitions_def_name
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(name, request.partition_keys)
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition(name, key)
        for event in data.asset_events or []:
            self.instance.report_runless_asset_event(event)
        return [
            self.run(str(asked.job_name or definition.job_name), tags=asked.tags,
                     config=asked.run_config)
            for asked in data.run_requests or []
        ]  # fmt: skip

    def tick_all(self) -> None:
        """One round of every sensor, in the order of what hangs on what."""
        for sensor in ("displays", "playlists", "new_posts", "candidates", "low_queues"):
            for run in self.tick(sensor):
                assert run.success, run.get_failed_step_keys()

    def versions(self, asset: str) -> dict[str, str]:
        """The last recorded data version of each partition; of an asset without, under ''."""
        key = dg.AssetKey(asset)
        found: dict[str, str] = {}
        records = self.instance.fetch_materializations(key, limit=10_000).records
        for record in records:
            materialization = record.asset_materialization
            assert materialization is not None
            version = (materialization.tags or {})["dagster/data_version"]
            found.setdefault(materialization.partition or "", version)
        return found

    def recorded(self, asset: str) -> list[str]:
        """The partitions materialized so far, one entry an event, oldest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(asset), limit=10_000).records
        return [str(record.partition_key) for record in reversed(records)]


@pytest.fixture
def dagster(engine: Engine, settings: Settings) -> Iterator[Dagster]:
    """An instance of this test alone, on this test's servers."""
    connections = Connections(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(instance, build_definitions(settings, connections), connections)
    connections.close()


def today() -> str:
    """The key of the current catalog day."""
    return datetime.now(UTC).date().isoformat()

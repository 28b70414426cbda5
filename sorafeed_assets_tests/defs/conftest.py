"""A real Dagster instance, and a small daemon that ticks sensors and executes their runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from sqlalchemy import Engine

from sorafeed_assets.defs.common import run_over_displays
from sorafeed_assets.defs.counts import automation as counts_automation
from sorafeed_assets.defs.lineage.compare import Lineage, read_lineage
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import follow_displays, record_waiting, recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines import automation as timelines_automation
from sorafeed_assets.defs.timelines.automation import ASSETS
from sorafeed_assets.services.counts.pools import refresh_candidates
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts


@dataclass
class Dagster:
    """Definitions on an instance, with the steps of a daemon."""

    instance: dg.DagsterInstance
    definitions: dg.Definitions
    connections: Connections
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)

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
        """Evaluate a sensor, apply its partition requests, and execute its runs."""
        definition = self.definitions.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            sensor_name=sensor,
            cursor=self.cursors.get(sensor),
            resources={"connections": self.connections},
        )
        data = definition.evaluate_tick(context)
        if data.cursor is not None:
            self.cursors[sensor] = data.cursor
        for request in data.dynamic_partitions_requests or []:
            name = request.partitions_def_name
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(name, request.partition_keys)
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition(name, key)
        return [
            self.run(str(asked.job_name or definition.job_name), tags=asked.tags,
                     config=asked.run_config)
            for asked in data.run_requests or []
        ]  # fmt: skip

    def tick_all(self) -> None:
        """Tick every sensor once, in the order of their dependencies."""
        for sensor in ("unsettled", "new_posts"):
            for run in self.tick(sensor):
                assert run.success, run.get_failed_step_keys()

    def rebuild(self, *displays: str, by_hand: bool = False) -> dg.ExecuteInProcessResult:
        """Run the assets of some displays, or of all, as a sensor or a person would."""
        wanted = list(displays)
        if not wanted:
            follow_displays(self.connections, self.instance)
            wanted = self.connections.settler.all_displays()
        request = run_over_displays(
            "rebuild_displays", ASSETS, wanted, self.instance.get_dynamic_partitions("displays")
        )
        config = {} if by_hand else request.run_config
        return self.run("rebuild_displays", tags=request.tags, config=config)

    def record(self) -> int:
        """Record all waiting records, as `sorafeed react` does."""
        graph = self.definitions.resolve_asset_graph()
        return record_waiting(self.connections, self.instance, recorded_assets(graph))

    def lineage(self) -> Lineage:
        """Compare stored with recorded versions."""
        graph = self.definitions.resolve_asset_graph()
        return read_lineage(self.connections, self.instance, recorded_assets(graph))

    def stale(self) -> dict[str, list[str]]:
        """The partitions that the UI would show as unsynced, and why."""
        graph = self.definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(
            self.instance, graph, LoadingContextForTest(self.instance)
        )
        found = {
            f"{key.to_user_string()} {partition or ''}".rstrip(): [
                cause.reason for cause in resolver.get_stale_causes(key, partition)
            ]
            for key in graph.materializable_asset_keys
            for partition in (self.instance.get_materialized_partitions(key) - {None} or [None])
        }
        return {key: reasons for key, reasons in found.items() if reasons}

    def check(self, name: str) -> dg.AssetCheckEvaluation:
        """Run only the check ``asset:name``, as the UI does."""
        asset, _, check = name.partition(":")
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        job = dg.define_asset_job("one_check", selection=dg.AssetSelection.checks(key))
        merged = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
        result = merged.resolve_job_def("one_check").execute_in_process(
            instance=self.instance, raise_on_error=False
        )
        (evaluation,) = result.get_asset_check_evaluations()
        assert evaluation.asset_check_key == key
        return evaluation

    def culprits(self, name: str) -> str:
        """The problems that the check ``asset:name`` reports; empty when it passes."""
        evaluation = self.check(name)
        assert evaluation.passed is not bool(evaluation.description)
        return evaluation.description or ""

    def versions(self, asset: str) -> dict[str, str]:
        """Partition → its last recorded data version; '' for an asset without partitions."""
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
        """The partitions of all materializations so far, oldest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(asset), limit=10_000).records
        return [str(record.partition_key) for record in reversed(records)]


@pytest.fixture
def dagster(engine: Engine, settings: Settings) -> Iterator[Dagster]:
    """An instance for this test only, on this test's servers."""
    connections = Connections(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(instance, build_definitions(settings, connections), connections)
    connections.close()


@pytest.fixture(autouse=True)
def nothing_is_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sensors act on new changes at once, which they otherwise leave to `react`."""
    for module in (counts_automation, timelines_automation):
        monkeypatch.setattr(module, "_LATE", timedelta())
    monkeypatch.setattr(counts_automation, "_LEFT_ALONE", timedelta())


def bring_up_to_date(connections: Connections) -> None:
    """Update counts, pools, timelines and caches, without any run."""
    settings, engine, settler = connections.settings, connections.engine, connections.settler
    settler.publish(settler.all_displays())
    refresh_days(engine, None, pool_size=settings.candidates_per_pool)
    refresh_totals(engine)
    refresh_candidates(engine, pool_size=settings.candidates_per_pool)
    settler.settle_changed()
    settler.rewrite_snapshots()


@pytest.fixture
def wall(engine: Engine, dagster: Dagster) -> Dagster:
    """Two displays that play, with correct counts and caches."""
    add_posts(engine, "cat video", 12)
    add_posts(engine, "dog video", 8, size=(352, 640))
    for display, term in (("AAAAA1", "cat video"), ("BBBBB2", "dog video")):
        add_display(engine, display)
        add_playlist(engine, display, [(term, 4), ("video", 3)])
    bring_up_to_date(dagster.connections)
    return dagster


def today() -> str:
    """The key of the current catalog day."""
    return datetime.now(UTC).date().isoformat()

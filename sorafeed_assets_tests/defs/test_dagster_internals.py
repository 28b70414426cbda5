"""The contract of `defs.dagster_internals`, on a real instance in PostgreSQL."""

import ast
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError, get_ident

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

import sorafeed_assets
from sorafeed_assets.defs.dagster_internals import (
    AssetEvent,
    BatchingEventLogStorage,
    PooledRunStorage,
    PooledScheduleStorage,
    RunStep,
    _entry,
    is_automatic,
    last_event_id,
    latest_versions,
    range_tags,
    silent_result,
    step_of,
    store_events,
    version_tags,
)
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.dagster_instance import dagster_database

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
_NAMES = [f"display{number:04}" for number in range(1_000)]
_DISPLAYS = dg.StaticPartitionsDefinition(_NAMES)


@pytest.fixture
def instance(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[dg.DagsterInstance]:
    with dagster_database(settings, postgres) as addressed, open_instance(addressed) as opened:
        yield opened


def _events(
    kind: type[dg.AssetMaterialization | dg.AssetObservation],
    version: str,
    names: list[str] | None = None,
) -> list[AssetEvent]:
    return [
        kind("queue", partition=name, tags=version_tags(f"{version}-{name}", {}, code_version="1",
                                                        last_event=None))
        for name in names or _NAMES
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [dg.AssetMaterialization, dg.AssetObservation])
def test_a_thousand_events_of_no_run(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[dg.AssetMaterialization | dg.AssetObservation],
) -> None:
    observed = kind is dg.AssetObservation
    before = last_event_id(instance) or 0
    store_events(instance, _events(kind, "old"), None)
    store_events(instance, _events(kind, "new", _NAMES[:10]), None)
    versions = latest_versions(instance, "queue", observed=observed, partitioned=True)
    assert versions == {
        name: f"{'new' if name in _NAMES[:10] else 'old'}-{name}" for name in _NAMES
    }
    if not observed:
        assert instance.get_materialized_partitions(dg.AssetKey("queue")) == set(_NAMES)
        latest = instance.get_latest_materialization_event(dg.AssetKey("queue"))
        assert latest is not None
        assert latest.asset_materialization is not None
        assert latest.asset_materialization.partition == _NAMES[9]
    fetch = instance.fetch_observations if observed else instance.fetch_materializations
    stored = [r for n in range(2) for r in fetch(dg.AssetKey("queue"), limit=2_000).records][:1010]
    assert [record.partition_key for record in reversed(stored)] == [*_NAMES, *_NAMES[:10]]
    ids = [record.storage_id for record in reversed(stored)]
    assert ids == sorted(set(ids))
    assert ids[0] > before
    assert last_event_id(instance) == ids[-1]

    # Without the fast read, the public interface gives the same.
    monkeypatch.setattr(type(instance.event_log_storage), "get_latest_tags_by_partition", None)
    assert latest_versions(instance, "queue", observed=observed, partitioned=True) == versions


def test_a_connection_lost_between_events_and_their_tags_stores_neither(
    instance: dg.DagsterInstance,
) -> None:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingEventLogStorage)
    lost: list[str] = []

    def lose(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if not lost and "INTO asset_event_tags" in statement:
            lost.append(statement)
            pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
            with storage._engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})

    event.listen(storage._engine, "before_cursor_execute", lose)
    before = last_event_id(instance)
    with pytest.raises(DBAPIError):
        store_events(instance, _events(dg.AssetMaterialization, "lost", _NAMES[:3]), None)
    assert lost
    assert last_event_id(instance) == before
    assert not instance.has_asset_key(dg.AssetKey("queue"))

    store_events(instance, _events(dg.AssetMaterialization, "kept", _NAMES[:3]), None)
    assert latest_versions(instance, "queue", observed=False, partitioned=True) == {
        name: f"kept-{name}" for name in _NAMES[:3]
    }


def test_batches_of_the_same_assets_in_another_order_wait_for_each_other(
    instance: dg.DagsterInstance,
) -> None:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingEventLogStorage)
    both = Barrier(2)
    began: set[int] = set()

    def meet_after(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INTO asset_keys" in statement and get_ident() not in began:
            began.add(get_ident())
            with suppress(BrokenBarrierError):
                # The other one waits for this row if it begins with the same.
                both.wait(1.0)

    event.listen(storage._engine, "after_cursor_execute", meet_after)

    def store(names: Sequence[str]) -> None:
        storage.store_event_batch([
            _entry(dg.AssetMaterialization(name), None, time.time()) for name in names
        ])  # fmt: skip

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(store, [("one", "other"), ("other", "one")]))
    assert len(began) == 2
    for name in ("one", "other"):
        found = instance.fetch_materializations(dg.AssetKey(name), limit=10).records
        assert len(found) == 2


@pytest.mark.parametrize("kind", [dg.AssetMaterialization, dg.AssetObservation])
def test_without_the_batch_events_are_stored_one_by_one(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[dg.AssetMaterialization | dg.AssetObservation],
) -> None:
    monkeypatch.setattr(type(instance.event_log_storage), "store_event_batch", None)
    store_events(instance, _events(kind, "one", _NAMES[:3]), None)
    observed = kind is dg.AssetObservation
    assert latest_versions(instance, "queue", observed=observed, partitioned=True) == {
        name: f"one-{name}" for name in _NAMES[:3]
    }


@pytest.mark.parametrize("has_batch", [True, False])
def test_a_step_stores_its_events_itself_and_downstream_goes_on(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, *, has_batch: bool
) -> None:
    if not has_batch:
        monkeypatch.setattr(type(instance.event_log_storage), "store_event_batch", None)
    steps: list[RunStep] = []

    @dg.asset(partitions_def=_DISPLAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def queue(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        steps.append(step_of(context))
        events = _events(dg.AssetMaterialization, "run", context.partition_keys[:2])
        store_events(context.instance, events, steps[-1])
        yield silent_result()

    @dg.asset(deps=[queue])
    def after() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("after"))

    job = dg.define_asset_job("both", selection="*")
    definitions = dg.Definitions([queue, after], jobs=[job])
    result = definitions.resolve_job_def("both").execute_in_process(
        instance=instance, tags=range_tags(_NAMES[3], _NAMES[7])
    )
    assert result.success
    assert steps == [RunStep(result.run_id, "both", "queue")]
    # The two events that the step stored, and none of Dagster's for the five partitions.
    records = instance.fetch_materializations(dg.AssetKey("queue"), limit=100).records
    assert [record.partition_key for record in records] == [_NAMES[4], _NAMES[3]]
    if not has_batch:
        # The public interface only has events without a run.
        assert {record.run_id for record in records} == {""}
        return
    assert {record.run_id for record in records} == {result.run_id}
    assert {record.event_log_entry.step_key for record in records} == {"queue"}
    of_run = instance.get_records_for_run(
        result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    assert [record.event_log_entry.step_key for record in of_run] == ["queue", "queue", "after"]
    assert latest_versions(instance, "after", observed=False, partitioned=False) == {"": "after"}


def test_the_tags_of_a_version_are_those_that_dagster_compares(
    instance: dg.DagsterInstance,
) -> None:
    @dg.asset(code_version="1")
    def playlists() -> None: ...

    @dg.asset(deps=[playlists], code_version="1")
    def queue() -> None: ...

    graph = dg.Definitions([playlists, queue]).resolve_asset_graph()

    def record(asset: str, version: str, made_from: dict[str, str]) -> None:
        tags = version_tags(
            version, made_from, code_version="1", last_event=last_event_id(instance)
        )
        store_events(instance, [dg.AssetMaterialization(asset, tags=tags)], None)

    def status(asset: str) -> StaleStatus:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return resolver.get_status(dg.AssetKey(asset))

    record("playlists", "a", {})
    record("queue", "x", {"playlists": "a"})
    assert status("playlists") is StaleStatus.FRESH
    assert status("queue") is StaleStatus.FRESH
    record("playlists", "b", {})
    assert status("queue") is StaleStatus.STALE
    record("queue", "y", {"playlists": "b"})
    assert status("queue") is StaleStatus.FRESH


def test_runs_of_a_person_are_told_from_those_of_a_condition() -> None:
    assert not is_automatic({})
    assert not is_automatic(range_tags("a", "b"))
    assert is_automatic({"dagster/auto_materialize": "true"})
    assert is_automatic({"dagster/from_automation_condition": "true"})


def test_no_other_module_uses_what_is_private_to_dagster() -> None:
    root = Path(sorafeed_assets.__file__).parent
    private = {
        f"{file.relative_to(root)}: {name}"
        for file in sorted(root.rglob("*.py"))
        for name in _imports(ast.parse(file.read_text()))
        if name.startswith(("dagster._", "dagster_postgres._", "dagster_shared._"))
    }
    elsewhere = {use for use in private if not use.startswith("defs/dagster_internals.py")}
    assert private
    assert elsewhere == set()


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_connections_are_kept_and_replaced_when_they_are_lost(instance: dg.DagsterInstance) -> None:
    storages = (instance.schedule_storage, instance.event_log_storage, instance.run_storage)
    made: list[object] = []
    for storage in storages:
        assert isinstance(
            storage, (BatchingEventLogStorage, PooledRunStorage, PooledScheduleStorage)
        )
        event.listen(storage._engine, "connect", lambda *call: made.append(call))

    def use() -> None:
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()

    for _ in range(20):
        use()
    assert len(made) <= len(storages)
    assert isinstance(storage, PooledRunStorage)
    with storage._engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    use()


def test_what_a_run_over_a_range_intends_is_stored_together(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingEventLogStorage)
    statements: list[str] = []
    event.listen(storage._engine, "before_cursor_execute", lambda *call: statements.append(call[2]))

    policy = dg.BackfillPolicy.single_run()

    @dg.asset(partitions_def=_DISPLAYS, backfill_policy=policy)
    def plan() -> dg.MaterializeResult[None]:
        return silent_result()

    @dg.asset(partitions_def=_DISPLAYS, backfill_policy=policy, deps=[plan])
    def queue() -> dg.MaterializeResult[None]:
        return silent_result()

    @dg.asset_check(asset=queue)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    definitions = dg.Definitions(
        [plan, queue], asset_checks=[holds], jobs=[dg.define_asset_job("both")]
    )
    result = definitions.resolve_job_def("both").execute_in_process(
        instance=instance, tags=range_tags(_NAMES[0], _NAMES[-1])
    )
    assert result.success
    # Of 2,000 events; the run's other events have a statement each.
    assert 0 < sum("INSERT INTO event_logs" in statement for statement in statements) < 200
    planned = instance.get_records_for_run(
        result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, limit=5_000
    ).records
    assert Counter((str(record.asset_key), record.partition_key) for record in planned) == Counter(
        (str(dg.AssetKey(asset)), name) for asset in ("plan", "queue") for name in _NAMES
    )
    for asset in ("plan", "queue"):
        (entry,) = instance.get_asset_records([dg.AssetKey(asset)])
        assert entry.asset_entry.last_run_id == result.run_id
    (check,) = storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("queue"), "holds"), limit=5
    )
    assert check.run_id == result.run_id
    assert check.status.value == "SUCCEEDED"

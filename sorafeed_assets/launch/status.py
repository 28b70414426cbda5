"""The state of the system, as `sorafeed status` shows it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import dagster as dg
from sqlalchemy import Engine

from sorafeed_assets.defs.lineage.compare import read_lineage
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.attention import AttentionItem, FailedCheck, needs_attention
from sorafeed_assets.launch.supervision import ProcessState, processes
from sorafeed_assets.services.counts.reads import counts_status
from sorafeed_assets.services.timelines.queues import QueueClass, queue_classes
from sorafeed_assets.storage.backups import last_backup


@dataclass(frozen=True, slots=True)
class LastRun:
    """One of the latest runs."""

    job: str
    status: str
    started_at: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class LastBackup:
    """The newest backup."""

    made_at: str
    folder: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Status:
    """The figures of `sorafeed status --json`; the ``timelines`` add up to the displays."""

    posts: int
    terms: int
    counts: dict[str, int]
    displays: int
    timelines: dict[str, int]
    checks: dict[str, int]
    lineage: dict[str, int]
    backup: LastBackup | None
    runs: tuple[LastRun, ...]
    processes: tuple[ProcessState, ...]
    attention: tuple[AttentionItem, ...]

    def as_json(self) -> dict[str, object]:
        """Ready for json.dumps."""
        return asdict(self)


def read_status(connections: Connections, instance: dg.DagsterInstance) -> Status:
    """Gather the figures from Postgres and from Dagster."""
    counts = counts_status(connections.engine)
    classes = queue_classes(connections.engine, connections.settings.window)
    queues = Counter(classes.values())
    graph = build_definitions(connections.settings, connections).resolve_asset_graph()
    passed, failed = _checks(instance, sorted(graph.asset_check_keys))
    running = processes(connections.settings.data_dir.resolve())
    lineage = read_lineage(connections, instance, recorded_assets(graph))
    return Status(
        posts=counts.posts,
        terms=counts.terms,
        counts={"fresh": counts.fresh, "stale": counts.stale},
        displays=len(classes),
        timelines={each.value: queues[each] for each in QueueClass},
        checks={"passed": passed, "failed": len(failed)},
        lineage=lineage.as_json(),
        backup=_last_backup(connections.engine),
        runs=_last_runs(instance),
        processes=running,
        attention=needs_attention(connections, instance, failed, lineage, running),
    )


def _checks(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> tuple[int, list[FailedCheck]]:
    """How many checks have passed, and those that have failed."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    evaluations = [
        record.event.dagster_event.asset_check_evaluation_data
        for record in records.values()
        if record.event
        and record.event.dagster_event
        and record.event.dagster_event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    failed = [
        FailedCheck(
            f"{found.asset_key.to_user_string()}:{found.check_name}",
            found.description or "it has failed; its run has the reason",
        )
        for found in evaluations
        if not found.passed
    ]
    return len(evaluations) - len(failed), failed


def _last_backup(engine: Engine) -> LastBackup | None:
    with engine.connect() as connection:
        found = last_backup(connection)
    if found is None:
        return None
    made_at = found.made_at.astimezone(UTC).isoformat(timespec="seconds")
    return LastBackup(made_at, found.folder, found.bytes)


def _last_runs(instance: dg.DagsterInstance) -> tuple[LastRun, ...]:
    runs = []
    for record in instance.get_run_records(limit=5):
        start, end = record.start_time, record.end_time
        started = (
            datetime.fromtimestamp(start, UTC).isoformat(timespec="seconds") if start else None
        )
        took = round(end - start, 1) if start and end else None
        runs.append(
            LastRun(record.dagster_run.job_name, record.dagster_run.status.value, started, took)
        )
    return tuple(runs)

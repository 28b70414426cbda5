"""What needs attention, with reasons, the worst first: for `sorafeed status`.

Not here: alerts, which tell a failure once (`defs.lineage.alerts`, `deploy/prometheus`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import dagster as dg

from sorafeed_assets.defs.lineage.compare import Lineage
from sorafeed_assets.defs.lineage.failures import failure_sentence, step_errors
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.supervision import ProcessState
from sorafeed_assets.services.counts.reads import stale_counts
from sorafeed_assets.services.timelines.queues import (
    QueueClass,
    dry_searches,
    plan_problems,
    stale_displays,
)

# Counts are refreshed hourly.
_STALE_HOURS: Final = 2.0
_RUNS_READ: Final = 50


class Severity(StrEnum):
    """How bad it is: broken stops a screen or the system, degraded does not."""

    BROKEN = "broken"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that needs attention: a display, check, run, process, asset or the counts."""

    severity: Severity
    kind: str
    subject: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check whose latest evaluation has failed."""

    name: str
    why: str


def read_attention(
    connections: Connections,
    instance: dg.DagsterInstance,
    classes: Mapping[str, QueueClass],
    failed_checks: Iterable[FailedCheck],
    lineage: Lineage,
    processes: Sequence[ProcessState],
) -> tuple[Attention, ...]:
    """Gather what needs attention, the worst first."""
    stale = stale_counts(connections.engine, older_than_hours=_STALE_HOURS)
    found = [
        *display_attention(
            classes,
            plan_problems(connections.engine),
            dry_searches(connections.engine),
            stale_displays(connections.engine),
        ),
        *(
            Attention(Severity.BROKEN, "process", process.name, ("it has ended",))
            for process in processes
            if process.pid is None
        ),
        *(
            Attention(Severity.DEGRADED, "check", check.name, (check.why,))
            for check in failed_checks
        ),
        *(
            Attention(Severity.DEGRADED, "run", job, (sentence,))
            for job, sentence in _failed_runs(instance).items()
        ),
        *_lineage(lineage),
        *([Attention(Severity.DEGRADED, "counts", "counts", tuple(stale))] if stale else []),
    ]
    worst = list(Severity)
    found.sort(key=lambda each: (worst.index(each.severity), each.kind, each.subject))
    return tuple(found)


def display_attention(
    classes: Mapping[str, QueueClass],
    problems: Mapping[str, str],
    dry: Mapping[str, Sequence[str]],
    stale: Mapping[str, str],
) -> list[Attention]:
    """The displays that need attention: one line each, with every reason."""
    found = []
    for display, queue in classes.items():
        if queue in {QueueClass.NO_PLAYLIST, QueueClass.OLD_SYSTEM}:
            continue
        broken, degraded = [], []
        if display in problems:
            broken.append(f"it cannot be planned: {problems[display]}")
        elif display in stale:
            degraded.append("its queue does not follow its active playlist")
        if queue is QueueClass.DRY:
            broken.append("it has nothing to play: no post matches any of its blocks")
        elif display in dry:
            degraded += [f"no post matches {term!r}" for term in dry[display]]
        if queue is QueueClass.LOW:
            degraded.append("its queue is low")
        if broken or degraded:
            severity = Severity.BROKEN if broken else Severity.DEGRADED
            found.append(Attention(severity, "display", display, (*broken, *degraded)))
    return found


def _failed_runs(instance: dg.DagsterInstance) -> dict[str, str]:
    """Job → why its latest run failed, for the jobs of which it did."""
    latest: dict[str, dg.DagsterRun] = {}
    ended = dg.RunsFilter(
        statuses=[
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
            dg.DagsterRunStatus.CANCELED,
        ]
    )
    for record in instance.get_run_records(ended, limit=_RUNS_READ):
        latest.setdefault(record.dagster_run.job_name, record.dagster_run)
    return {
        job: _sentence(instance, run)
        for job, run in latest.items()
        if run.status is dg.DagsterRunStatus.FAILURE
    }


def _sentence(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    return failure_sentence(run.job_name, run.run_id, step_errors(events))


def _lineage(lineage: Lineage) -> list[Attention]:
    by_asset: dict[str, list[str]] = {}
    for (asset, _), text in sorted(lineage.differing.items()):
        by_asset.setdefault(asset, []).append(text)
    return [
        Attention(Severity.DEGRADED, "lineage", asset, tuple(texts))
        for asset, texts in by_asset.items()
    ]

"""What needs attention, with reasons, the worst first: for `sorafeed status`.

Not here: the alerts of Dagster, which report a failure once (`defs.lineage.alerts`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final

import dagster as dg

from sorafeed_assets.defs.lineage.compare import Lineage
from sorafeed_assets.defs.lineage.failures import failure_sentence, step_errors
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.domain.text import sentence
from sorafeed_assets.launch.supervision import ProcessState
from sorafeed_assets.services.attention import Attention, Severity, read_attention
from sorafeed_assets.services.counts.reads import stale_counts
from sorafeed_assets.services.flags.changes import load_values
from sorafeed_assets.storage.prometheus import Prometheus, prometheus_of

# Counts are refreshed hourly.
_STALE_HOURS: Final = 2.0
_RUNS_READ: Final = 50
_ALERT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class AttentionItem:
    """Something that needs attention: a display, check, run, process, asset, alert or the counts.

    ``severity`` is broken, degraded or offline; ``reasons`` are sentences.
    """

    severity: str
    kind: str
    subject: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check whose latest evaluation has failed."""

    name: str
    why: str


def needs_attention(
    connections: Connections,
    instance: dg.DagsterInstance,
    failed_checks: Iterable[FailedCheck],
    lineage: Lineage,
    processes: Sequence[ProcessState],
) -> tuple[AttentionItem, ...]:
    """Gather what needs attention, the worst first."""
    with connections.engine.connect() as connection:
        flags = load_values(connection)
    counts = stale_counts(connections.engine, older_than_hours=_STALE_HOURS)
    found = [
        *display_attention(read_attention(connections.engine, flags)),
        *(
            _attention(Severity.BROKEN, "process", process.name, "It has ended.")
            for process in processes
            if process.pid is None
        ),
        *(
            _attention(Severity.DEGRADED, "check", check.name, sentence(check.why))
            for check in failed_checks
        ),
        *(
            _attention(Severity.DEGRADED, "run", job, sentence(why))
            for job, why in _failed_runs(instance).items()
        ),
        *_lineage(lineage),
        *alert_attention(prometheus_of(connections.settings.prometheus_url, _ALERT_SECONDS)),
        *(_attention(Severity.DEGRADED, "counts", "counts", sentence(why)) for why in counts),
    ]
    worst = [severity.name.lower() for severity in Severity]
    found.sort(key=lambda each: (worst.index(each.severity), each.kind, each.subject))
    return tuple(found)


def _attention(severity: Severity, kind: str, subject: str, *reasons: str) -> AttentionItem:
    return AttentionItem(severity.name.lower(), kind, subject, reasons)


def display_attention(displays: Mapping[str, Attention]) -> list[AttentionItem]:
    """The displays that need attention: one line each, with every reason."""
    return [
        _attention(found.severity, "display", name, *found.problems, *_offline(found))
        for name, found in displays.items()
        if found.severity is not Severity.NONE
    ]


def alert_attention(prometheus: Prometheus | None) -> list[AttentionItem]:
    """The alerts that fire, if there is a Prometheus; or why they are not known."""
    if prometheus is None:
        return []
    try:
        firing = prometheus.firing()
    except UnavailableError as error:
        why = sentence(f"the alerts are not known: {error}")
        return [_attention(Severity.DEGRADED, "alert", "Prometheus", why)]
    return [
        _attention(
            Severity.BROKEN if alert.is_urgent else Severity.DEGRADED,
            "alert",
            alert.name,
            *map(sentence, alert.summaries),
            f"Since {alert.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
            f"What to do: docs/runbook.md#{alert.section}.",
        )
        for alert in firing
    ]


def _offline(found: Attention) -> list[str]:
    if found.offline_since is None:
        return []
    return [f"Offline, last seen {found.offline_since.astimezone(UTC):%Y-%m-%d %H:%M} UTC."]


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


def _lineage(lineage: Lineage) -> list[AttentionItem]:
    by_asset: dict[str, list[str]] = {}
    for (asset, _), text in sorted(lineage.differing.items()):
        by_asset.setdefault(asset, []).append(text)
    return [
        _attention(Severity.DEGRADED, "lineage", asset, *map(sentence, texts))
        for asset, texts in by_asset.items()
    ]

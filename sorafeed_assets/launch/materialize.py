"""Materializing the whole graph in this process, and what came of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from sorafeed_assets.definitions import build_definitions
from sorafeed_assets.defs.common import day_range_tags
from sorafeed_assets.defs.counts.automation import JOB_NAME as COUNTS_JOB
from sorafeed_assets.defs.counts.automation import ranges_to_count
from sorafeed_assets.defs.failures import first_line
from sorafeed_assets.defs.resources import Connections, Progress
from sorafeed_assets.defs.timelines.rebuild import JOB_NAME as DISPLAYS_JOB
from sorafeed_assets.domain.automation import DayRange
from sorafeed_assets.settings import Settings

# The report says what happened; the whole log is in the instance.
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(slots=True)
class Report:
    """What a materialization did.

    Attributes:
        seconds: time per asset.
        events: materializations per asset.
        checks: passed or not, by ``asset:check``.
        failures: one plain sentence per failed step.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    events: Counter[str] = field(default_factory=Counter)
    checks: dict[str, bool] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing failed."""
        return not self.failures and all(self.checks.values())


def materialize_all(
    settings: Settings, instance: dg.DagsterInstance, on_progress: Progress | None = None
) -> Report:
    """Run both jobs over everything that is not up to date; both always run at least once."""
    report = Report()
    connections = Connections(settings, on_progress)
    try:
        definitions = build_definitions(settings, connections)
        today = datetime.now(UTC).date()
        for days in ranges_to_count(connections) or [DayRange(today, today)]:
            _run(definitions, COUNTS_JOB, instance, report, day_range_tags(days))
        _run(definitions, DISPLAYS_JOB, instance, report, {})
    finally:
        connections.close()
    return report


def _run(
    definitions: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    report: Report,
    tags: Mapping[str, str],
) -> None:
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance, tags=dict(tags), run_config=_QUIET, raise_on_error=False
    )
    last = 0.0
    for entry in instance.all_logs(result.run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.STEP_START:
            last = entry.timestamp
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            name = event.asset_key.to_user_string()
            report.events[name] += 1
            report.seconds[name] += entry.timestamp - last
            last = entry.timestamp
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            key = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
            report.checks[key] = evaluation.passed
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            failure = event.step_failure_data
            told = failure.user_failure_data
            error = failure.error
            text = (told.description if told else None) or (error.message if error else "unknown")
            report.failures.append(f"{event.step_key}: {first_line(text)}")
    if not result.success and not report.failures:
        report.failures.append(f"{job} did not finish")

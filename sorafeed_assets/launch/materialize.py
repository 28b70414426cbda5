"""Materializing the whole graph in this process, with a report."""

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread
from typing import Final, TypeVar

import dagster as dg

from sorafeed_assets.defs.common import DISPLAYS, run_over_days, run_over_displays
from sorafeed_assets.defs.counts.automation import JOB_NAME as COUNTS_JOB
from sorafeed_assets.defs.counts.automation import days_to_refresh
from sorafeed_assets.defs.lineage.failures import cause_of
from sorafeed_assets.defs.lineage.mend import mend
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import (
    follow_displays,
    record_waiting,
    recorded_assets,
    repeat_terms,
)
from sorafeed_assets.defs.resources import Connections, Progress
from sorafeed_assets.defs.timelines.automation import ASSETS as DISPLAY_ASSETS
from sorafeed_assets.defs.timelines.automation import JOB_NAME as DISPLAYS_JOB
from sorafeed_assets.settings import Settings

_Result = TypeVar("_Result")

# The report is a summary; the instance has the whole log.
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
    """Run both jobs over all partitions that are not up to date; each runs at least once."""
    report = Report()
    connections = Connections(settings, on_progress)
    try:
        definitions = build_definitions(settings, connections)
        assets = recorded_assets(definitions.resolve_asset_graph())
        follow_displays(connections, instance)
        _run(definitions, instance, report, run_over_days(COUNTS_JOB, days_to_refresh(connections)))
        if displays := connections.settler.all_displays():
            request = run_over_displays(
                DISPLAYS_JOB,
                DISPLAY_ASSETS,
                displays,
                instance.get_dynamic_partitions(str(DISPLAYS.name)),
            )
            _run(definitions, instance, report, request)
        while connections.settler.settle_changed():
            pass
        connections.settler.cache_overview()
        mend(connections, instance, assets)
        repeat_terms(connections)
        record_waiting(connections, instance, assets)
    finally:
        connections.close()
    return report


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    report: Report,
    request: dg.RunRequest,
) -> None:
    job = str(request.job_name)
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=dict(request.tags),
        run_config={**request.run_config, **_QUIET},
        raise_on_error=False,
    )
    names = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    started: dict[str, float] = {}
    for entry in instance.all_logs(result.run_id):
        event = entry.dagster_event
        if event is None:
            continue
        step = str(event.step_key)
        if event.event_type is dg.DagsterEventType.STEP_START:
            started[step] = entry.timestamp
        elif event.event_type is dg.DagsterEventType.STEP_SUCCESS and step in names:
            report.seconds[step] += entry.timestamp - started[step]
        elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            report.events[event.asset_key.to_user_string()] += 1
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            key = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
            report.checks[key] = evaluation.passed
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            report.failures.append(f"{event.step_key}: {cause_of(event)}")
    if not result.success and not report.failures:
        report.failures.append(f"{job} did not finish")


def in_background(work: Callable[[], _Result]) -> _Result:
    """Run ``work`` in a thread and return its result; a signal interrupts only the wait.

    In the main thread Dagster would handle signals, and retry the step that one interrupted.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result()

"""Failed runs and failed checks, sent to the webhook of `SORAFEED_ALERT_WEBHOOK`.

A sensor for each kind reads Dagster's events in order. Its cursor is the last event that the
webhook has accepted, or that is no failure; Dagster keeps it, so that nothing is lost or sent again
after a restart. An event is sent again only if the daemon ends between the webhook's answer and the
cursor's write, under the same id.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.dagster_internals import events_after
from sorafeed_assets.defs.lineage.failures import failure_sentence, step_errors
from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.webhook import post
from sorafeed_assets.settings import Settings

# Ids are assigned before the commit: an event with a lower id may become visible a little later.
_SETTLED: Final = timedelta(seconds=5)
# Later, a failure is no news; it is also how far a sensor without a cursor looks back.
_TRIED_FOR: Final = timedelta(days=1)
_MOST_READ: Final = 500
# Dagster gives a tick 60 s, and a slow webhook takes 5 s for a message.
_TICK_SECONDS: Final = 20.0

Message = Mapping[str, object]
"""What is sent, without its id."""
_Describe = Callable[[dg.DagsterInstance, dg.EventLogRecord], Message | None]


@dataclass(slots=True)
class _Delivery:
    """How far a tick has come."""

    cursor: str | None
    sent: int = 0
    problem: str = ""


def build_alerts(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors; none without an address."""
    if settings.alert_webhook is None:
        return []
    url = str(settings.alert_webhook)
    page = None if settings.dagster_ui_url is None else str(settings.dagster_ui_url)
    return [
        _build(
            "alert_failed_runs",
            "Sends each failed run to the webhook.",
            dg.DagsterEventType.RUN_FAILURE,
            lambda instance, record: _run_message(instance, record, page),
            url,
        ),
        _build(
            "alert_failed_checks",
            "Sends each failed evaluation of an asset check to the webhook.",
            dg.DagsterEventType.ASSET_CHECK_EVALUATION,
            lambda _instance, record: _check_message(record, page),
            url,
        ),
    ]


def _build(
    name: str, description: str, kind: dg.DagsterEventType, describe: _Describe, url: str
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        delivery = _Delivery(context.cursor)
        _deliver(context, kind, describe, url, delivery)
        said = f"{delivery.sent} sent" + (f"; {delivery.problem}" if delivery.problem else "")
        return dg.SensorResult(skip_reason=dg.SkipReason(said), cursor=delivery.cursor)

    return alert


def _deliver(
    context: dg.SensorEvaluationContext,
    kind: dg.DagsterEventType,
    describe: _Describe,
    url: str,
    delivery: _Delivery,
) -> None:
    """Send what failed since the cursor, in order, up to the first message that is not accepted."""
    now, started = datetime.now(UTC), time.monotonic()
    after = now - _TRIED_FOR if context.cursor is None else int(context.cursor)
    for record in events_after(context.instance, kind, after, _MOST_READ):
        at = datetime.fromtimestamp(record.timestamp, UTC)
        if now - at < _SETTLED or time.monotonic() - started > _TICK_SECONDS:
            return
        message = describe(context.instance, record)
        if message is not None:
            message_id = f"{record.run_id}/{record.storage_id}"
            try:
                post(url, message_id, {**message, "at": at.isoformat(), "run": record.run_id})
            except UnavailableError as error:
                if now - at < _TRIED_FOR:
                    delivery.problem = f"{error}; the next tick tries again"
                    context.log.warning(delivery.problem)
                    return
                context.log.exception("given up after a day: %s", message["text"])
            else:
                delivery.sent += 1
        delivery.cursor = str(record.storage_id)


def _run_message(
    instance: dg.DagsterInstance, record: dg.EventLogRecord, page: str | None
) -> Message:
    failures = instance.all_logs(record.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    events = [entry.dagster_event for entry in failures if entry.dagster_event is not None]
    job = record.event_log_entry.job_name or "unknown"
    return {
        "kind": "run",
        "text": failure_sentence(job, record.run_id, step_errors(events)),
        "job": job,
        **_link(record.run_id, page),
    }


def _check_message(record: dg.EventLogRecord, page: str | None) -> Message | None:
    event = record.event_log_entry.dagster_event
    if event is None:
        return None
    found = event.asset_check_evaluation_data
    if found.passed:
        return None
    asset = found.asset_key.to_user_string()
    why = f": {found.description}" if found.description else ""
    return {
        "kind": "check",
        "text": f"check {found.check_name} of {asset} failed{why}",
        "asset": asset,
        "check": found.check_name,
        "severity": found.severity.value,
        **_link(record.run_id, page),
    }


def _link(run_id: str, page: str | None) -> Message:
    return {} if page is None else {"url": f"{page.rstrip('/')}/runs/{run_id}"}

"""Failed runs and checks reach the webhook once each, also over refusals and restarts."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from sorafeed_assets.defs.lineage import alerts
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.webhook import Webhook, receiving

RUNS, CHECKS = "alert_failed_runs", "alert_failed_checks"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with receiving() as found:
        yield found


@pytest.fixture
def addressed(
    settings: Settings, postgres: EmbeddedPostgres, webhook: Webhook
) -> Iterator[Settings]:
    """Settings with a webhook, and a database for Dagster."""
    with dagster_database(settings, postgres) as found:
        more = {"alert_webhook": webhook.url, "dagster_ui_url": "http://127.0.0.1:3000"}
        yield Settings.model_validate({**found.model_dump(), **more})


@pytest.fixture
def alerting(addressed: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dagster]:
    """An instance in PostgreSQL, whose failures may be sent at once."""
    monkeypatch.setattr(alerts, "_SETTLED", timedelta(0))
    connections = Connections(addressed)
    with open_instance(addressed) as instance:
        yield Dagster(instance, build_definitions(addressed, connections), connections)
    connections.close()


def _fail(instance: dg.DagsterInstance, why: str) -> str:
    @dg.op
    def breaks() -> None:
        raise dg.Failure(why)

    @dg.job
    def failing() -> None:
        breaks()

    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    return result.run_id


def _check(instance: dg.DagsterInstance, *, passed: bool) -> str:
    @dg.asset
    def thing() -> None:
        pass

    @dg.asset_check(asset=thing)
    def is_right() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=passed, severity=dg.AssetCheckSeverity.WARN, description="7 is not 8"
        )

    return dg.materialize([thing, is_right], instance=instance).run_id


def test_without_an_address_there_are_no_sensors(settings: Settings) -> None:
    assert settings.alert_webhook is None
    sensors = build_definitions(settings).sensors or []
    assert not {sensor.name for sensor in sensors} & {RUNS, CHECKS}


def test_with_an_address_both_sensors_run(addressed: Settings) -> None:
    sensors = build_definitions(addressed).get_repository_def().sensor_defs
    status = {sensor.name: sensor.default_status for sensor in sensors}
    for name in (RUNS, CHECKS):
        assert status[name] is dg.DefaultSensorStatus.RUNNING


def test_a_failed_run_is_sent_once(alerting: Dagster, webhook: Webhook) -> None:
    run_id = _fail(alerting.instance, "wrong number")
    _check(alerting.instance, passed=True)
    for _ in range(2):
        assert alerting.tick(RUNS) == []
    (message,) = webhook.accepted
    assert message.pop("at").endswith("+00:00")
    assert message.pop("id").startswith(f"{run_id}/")
    assert message == {
        "kind": "run",
        "text": f"run {run_id[:8]} of failing failed: breaks: wrong number",
        "job": "failing",
        "run": run_id,
        "url": f"http://127.0.0.1:3000/runs/{run_id}",
    }


def test_a_failed_check_is_sent_once(alerting: Dagster, webhook: Webhook) -> None:
    _check(alerting.instance, passed=True)
    run_id = _check(alerting.instance, passed=False)
    for _ in range(2):
        alerting.tick(CHECKS)
    (message,) = webhook.accepted
    message = {
        name: message[name] for name in ("kind", "text", "asset", "check", "severity", "run")
    }
    assert message == {
        "kind": "check",
        "text": "check is_right of thing failed: 7 is not 8",
        "asset": "thing",
        "check": "is_right",
        "severity": "WARN",
        "run": run_id,
    }


def test_what_is_refused_is_sent_later_in_order(
    alerting: Dagster, webhook: Webhook, addressed: Settings
) -> None:
    runs = [_fail(alerting.instance, "first")]
    alerting.tick(RUNS)
    webhook.status = 503
    runs += [_fail(alerting.instance, why) for why in ("second", "third")]
    for _ in range(3):
        alerting.tick(RUNS)
    # One attempt a tick, so that a webhook that is away is not called for each message.
    assert webhook.refused == 3
    webhook.status = 200
    # After a restart there is only what Dagster has stored.
    with open_instance(addressed) as instance:
        definitions = build_definitions(addressed, alerting.connections)
        again = Dagster(instance, definitions, alerting.connections, cursors=alerting.cursors)
        for _ in range(2):
            again.tick(RUNS)
    assert [message["run"] for message in webhook.accepted] == runs
    assert len(set(webhook.keys)) == 3


def test_a_failure_during_a_tick_that_is_cut_off_stays(
    alerting: Dagster, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [_fail(alerting.instance, why) for why in ("first", "second")]
    monkeypatch.setattr(alerts, "_TICK_SECONDS", -1.0)
    alerting.tick(RUNS)
    assert webhook.accepted == []
    monkeypatch.setattr(alerts, "_TICK_SECONDS", 60.0)
    alerting.tick(RUNS)
    assert [message["run"] for message in webhook.accepted] == runs


def test_an_event_is_left_until_earlier_ones_are_surely_visible(
    alerting: Dagster, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = _fail(alerting.instance, "wrong")
    monkeypatch.setattr(alerts, "_SETTLED", timedelta(hours=1))
    alerting.tick(RUNS)
    assert webhook.accepted == []
    monkeypatch.setattr(alerts, "_SETTLED", timedelta(0))
    alerting.tick(RUNS)
    assert [message["run"] for message in webhook.accepted] == [run_id]


def test_what_is_refused_for_a_day_does_not_stop_what_follows(
    alerting: Dagster, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerting.cursors[RUNS] = "0"
    _fail(alerting.instance, "old")
    webhook.status = 400
    alerting.tick(RUNS)
    assert alerting.cursors[RUNS] == "0"
    monkeypatch.setattr(alerts, "_TRIED_FOR", timedelta(0))
    alerting.tick(RUNS)
    assert alerting.cursors[RUNS] != "0"
    webhook.status = 200
    run_id = _fail(alerting.instance, "new")
    alerting.tick(RUNS)
    assert [message["run"] for message in webhook.accepted] == [run_id]


def test_failures_of_before_are_not_sent_at_the_first_tick(
    alerting: Dagster, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail(alerting.instance, "long ago")
    monkeypatch.setattr(alerts, "_TRIED_FOR", timedelta(0))
    alerting.tick(RUNS)
    assert webhook.accepted == []

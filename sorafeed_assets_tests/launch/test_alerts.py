"""What `sorafeed status` lists of alerts, asked of a real Prometheus; and of one that is away."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from sorafeed_assets.domain.alerts import Alert
from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.launch.attention import AttentionItem, alert_attention
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.storage.prometheus import Prometheus
from sorafeed_assets_tests.prometheus import alerting, needs_prometheus
from sorafeed_assets_tests.serving.client import wait_until

_RULES: Final = (
    {
        "alert": "SorafeedTest",
        "expr": "label_replace(vector(7), 'part', 'api', '', '')",
        "labels": {"severity": "page"},
        "annotations": {"summary": "{{ $value }} requests of {{ $labels.part }} fail"},
    },
    {"alert": "SorafeedBare", "expr": "vector(1)"},
    # It has to last an hour first.
    {"alert": "SorafeedWaits", "expr": "vector(1)", "for": "1h"},
    {"alert": "SorafeedSilent", "expr": "vector(1) > 2"},
    {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "page"}},
)


@needs_prometheus
def test_what_fires_is_told_with_its_summary_and_since_when(tmp_path: Path) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    with alerting(tmp_path, _RULES) as url:
        prometheus = Prometheus(f"{url}/")
        wait_until(lambda: len(prometheus.firing()) == 2)
        urgent, bare = prometheus.firing()
        listed = alert_attention(prometheus)
    assert urgent._replace(since=began) == Alert(
        "SorafeedTest", True, ("7 requests of api fail",), began
    )
    assert bare._replace(since=began) == Alert("SorafeedBare", False, ("SorafeedBare",), began)
    for alert in (urgent, bare):
        assert began <= alert.since <= datetime.now(UTC)
    assert listed[0] == AttentionItem(
        "broken",
        "alert",
        "SorafeedTest",
        (
            "7 requests of api fail.",
            f"Since {urgent.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
            "What to do: docs/runbook.md#sorafeedtest.",
        ),
    )
    assert (listed[1].severity, listed[1].subject) == ("degraded", "SorafeedBare")


def test_status_says_why_alerts_are_not_known() -> None:
    away = Prometheus(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UnavailableError, match="does not answer"):
        away.firing()
    (found,) = alert_attention(away)
    assert (found.severity, found.kind, found.subject) == ("degraded", "alert", "Prometheus")
    assert "The alerts are not known: Prometheus at 127.0.0.1:" in found.reasons[0]
    assert alert_attention(None) == []

"""A real Prometheus: one that was given a past, figures of minutes that are over; or rules."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets_tests.metrics import samples_of
from sorafeed_assets_tests.serving.client import wait_until

_PROMETHEUS: Final = shutil.which("prometheus")
_PROMTOOL: Final = shutil.which("promtool")
SCRAPED: Final = timedelta(seconds=15)
"""How often the figures were scraped."""

needs_prometheus: Final = pytest.mark.skipif(
    _PROMETHEUS is None or _PROMTOOL is None, reason="prometheus or promtool is not installed"
)

Scrape = tuple[datetime, Metrics]
"""The metrics of a process, as they are when this is reached."""


@contextmanager
def prometheus_of(folder: Path, past: Iterable[Scrape]) -> Iterator[str]:
    """Run a Prometheus that has scraped ``past``; yields its address."""
    assert _PROMTOOL is not None
    file, stored = folder / "past.txt", folder / "stored"
    file.write_text(_openmetrics(past))
    made = [_PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(file), str(stored)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    with _running(folder, "scrape_configs: []\n", free_port()) as url:
        yield url


@contextmanager
def alerting(
    folder: Path, alerts: Iterable[Mapping[str, object]], port: int | None = None
) -> Iterator[str]:
    """Run a Prometheus with these rules of alerts, evaluated each second; yields its address."""
    rules = folder / "rules.yml"
    group = {"name": "test", "interval": "1s", "rules": [*alerts]}
    rules.write_text(yaml.safe_dump({"groups": [group]}))
    with _running(folder, f"rule_files: ['{rules}']\n", port or free_port()) as url:
        yield url


@contextmanager
def _running(folder: Path, configuration: str, port: int) -> Iterator[str]:
    assert _PROMETHEUS is not None
    config, url = folder / "prometheus.yml", f"http://127.0.0.1:{port}"
    config.write_text(configuration)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                _PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'stored'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: process.poll() is not None or _is_ready(url))
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False


def _openmetrics(past: Iterable[Scrape]) -> str:
    """The counters of all scrapes; OpenMetrics wants each metric's samples together."""
    by_name: dict[str, list[str]] = {}
    for at, metrics in past:
        for (name, labels), value in samples_of(metrics.text().decode()).items():
            if name.startswith("sorafeed_") and name.endswith("_total"):
                listed = ",".join(f'{label}="{text}"' for label, text in labels)
                lines = by_name.setdefault(name.removesuffix("_total"), [])
                lines.append(f"{name}{{{listed}}} {value} {at.timestamp():.3f}")
    return (
        "".join(
            "\n".join((f"# TYPE {name} counter", *lines, "")) for name, lines in by_name.items()
        )
        + "# EOF\n"
    )

"""The API's requests minute by minute, asked of a real Prometheus; and of what is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.domain.rollouts.signals import Sample
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets.storage.prometheus import Prometheus
from sorafeed_assets.storage.rollouts.prometheus import requests_by_minute
from sorafeed_assets_tests.prometheus import SCRAPED, Scrape, needs_prometheus, prometheus_of

_MINUTE = timedelta(minutes=1)
_BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ANSWER = '{"status": "success", "data": {"resultType": "matrix", "result": []}}'


def _past() -> Iterator[Scrape]:
    """Ten minutes of 240 requests; from the fifth on, one of ten fails."""
    metrics = Metrics()
    for number in range(41):
        yield _BEGAN + number * SCRAPED, metrics
        for request in range(60):
            fails = number >= 20 and request % 10 == 0
            metrics.answered("/api/displays/{code}/next", 503 if fails else 200, 0.01)
        # What says nothing of the server is not counted.
        metrics.answered("/readyz", 503, 0.01)
        metrics.answered("/graphql", 404, 0.01)
        metrics.answered("/graphql", 0, 0.01)
        metrics.errors.labels("INVALID_INPUT").inc()


@needs_prometheus
def test_each_whole_minute_has_its_requests_and_failures(tmp_path: Path) -> None:
    with prometheus_of(tmp_path, _past()) as url:
        prometheus = Prometheus(f"{url}/")
        found = requests_by_minute(prometheus, _BEGAN, _BEGAN + 10 * _MINUTE)
        assert len(found) == 10
        # Prometheus extrapolates to whole minutes from what it scraped.
        assert all(abs(sample.trials - 240) <= 12 for sample in found)
        assert [sample.events for sample in found[:5]] == [0] * 5
        assert all(abs(sample.events - 24) <= 6 for sample in found[6:])
        # A minute that is not over is not asked for, and one without a scrape is missing.
        assert requests_by_minute(prometheus, _BEGAN, _BEGAN + _MINUTE * 0.9) == []
        assert requests_by_minute(prometheus, _BEGAN - 10 * _MINUTE, _BEGAN - _MINUTE) == []
        assert len(requests_by_minute(prometheus, _BEGAN + 8 * _MINUTE, _BEGAN + 60 * _MINUTE)) <= 3


@contextmanager
def _answering(status: int, text: str) -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything so; yields its address, and the Authorization it got."""
    got: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.headers["authorization"] or "")
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            if status == 302:
                self.send_header("location", "/login")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_details: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "text", "problem"),
    [
        (200, "<html>", "does not answer as Prometheus does; check SORAFEED_PROMETHEUS_URL"),
        (200, "[]", "does not answer as Prometheus does"),
        (200, '{"data": {"result": [{"metric": {}}]}}', "does not answer as Prometheus does"),
        (422, "{}", "answers 422; check SORAFEED_PROMETHEUS_URL"),
        (503, "", "answers 503"),
        (302, "", "answers 302"),
    ],
)
def test_what_is_no_prometheus_is_named(status: int, text: str, problem: str) -> None:
    with _answering(status, text) as (where, _), pytest.raises(UnavailableError) as raised:
        requests_by_minute(Prometheus(f"http://name:secret@{where}"), _BEGAN, _BEGAN + _MINUTE)
    assert problem in str(raised.value)
    assert where in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_name_and_a_password_are_sent() -> None:
    with _answering(200, _ANSWER) as (where, got):
        url = f"http://na%40me:pass@{where}/prometheus"
        assert requests_by_minute(Prometheus(url), _BEGAN, _BEGAN + _MINUTE) == []
    assert got == ["Basic bmFAbWU6cGFzcw=="]


def test_a_prometheus_that_is_away_is_named() -> None:
    away = Prometheus(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UnavailableError, match=r"does not answer: .*Connection refused"):
        requests_by_minute(away, _BEGAN, _BEGAN + timedelta(hours=1))


def test_minutes_are_samples() -> None:
    series = (
        '{"metric": {"figure": "requests"}, "values": [[60, "10.4"], [120, "0"], [180, "NaN"]]},'
        '{"metric": {"figure": "errors"}, "values": [[60, "11.2"], [120, "0"]]}'
    )
    with _answering(200, f'{{"data": {{"result": [{series}]}}}}') as (where, _):
        found = requests_by_minute(Prometheus(f"http://{where}"), _BEGAN, _BEGAN + 3 * _MINUTE)
    # Extrapolated failures are never more than the requests.
    assert found == [Sample(10, 10), Sample(0, 0)]

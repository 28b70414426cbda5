"""With an endpoint, the spans of an edit are one trace; without one, no SDK is loaded."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sorafeed_assets import extras
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.dagster_home import environment as dagster_environment
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings, load_settings
from sorafeed_assets.tracing import Process, start_tracing
from sorafeed_assets_tests.cli.running import environment, start, wait_until
from sorafeed_assets_tests.collector import Collector, SentSpan, collecting
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.serving.client import CREATE_PLAYLIST, Api, newest, token_of
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.wall import add_display, add_posts

_API: Process = "sorafeed-api"
_REACT: Process = "sorafeed-react"
_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
# One transaction of Redis: three values, and the change.
_REDIS = "SET SET SET PUBLISH"
_PARTS = {"POST /graphql", "settle", "publish", "plan", "snapshot", "INSERT", _REDIS}
_SDK_LOADED = """
import sys
import sorafeed_assets.cli.app, sorafeed_assets.serving.app, sorafeed_assets.storage.postgres.engine
from sorafeed_assets.settings import Settings
from sorafeed_assets.tracing import start_tracing
start_tracing(Settings(), "sorafeed-api")
# Where it is installed, the client of Redis loads the SDK's metrics.
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.instrumentation")
sys.exit(any(name.startswith(ours) for name in sys.modules))
"""


@contextmanager
def _reacting(settings: Settings, log: Path) -> Iterator[None]:
    folder = str(settings.data_dir)
    process = start(log, "react", "--data-dir", folder, **dagster_environment(settings))
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def _line(spans: dict[str, SentSpan], span: SentSpan) -> list[str]:
    """The names of the spans from this one to the trace's first."""
    found = [span.name]
    while span.parent in spans:
        span = spans[span.parent]
        found.append(span.name)
    assert span.parent == _SPAN
    return found


def _edit_is_traced(collector: Collector) -> bool:
    return {span.name for span in collector.of_trace(_TRACE).values()} >= _PARTS


def test_an_edit_is_one_trace_and_its_record_is_linked_to_it(
    engine: Engine, settings: Settings, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    add_posts(engine, "cat video", 12)
    add_display(engine, "AAAAA1")
    with (
        collecting() as collector,
        dagster_database(settings, postgres) as addressed,
    ):
        traced = load_settings(**{**addressed.model_dump(), "otlp_endpoint": collector.url})
        with served(traced) as server:
            api = Api(server.url, token_of(engine, Role.ADMIN))
            api.http.headers["traceparent"] = f"00-{_TRACE}-{_SPAN}-01"
            blocks = [newest("cat video", 8)]
            api.ask(CREATE_PLAYLIST, display="AAAAA1", name="Evening", blocks=blocks)
            api.close()
            wait_until(lambda: _edit_is_traced(collector), "the trace of the edit")
            # Recorded by a process that only the lineage records tell of the edit.
            with _reacting(traced, tmp_path / "react.log"):
                wait_until(
                    lambda: (
                        _TRACE
                        in {
                            link
                            for span in collector.named(_REACT, "record")
                            for link in span.links
                        }
                    ),
                    "a record that is linked to the edit",
                )

    edit = collector.of_trace(_TRACE)
    lines = [_line(edit, span) for span in edit.values() if span.process == _API]
    assert ["plan", "publish", "settle", "POST /graphql"] in lines
    assert ["snapshot", "settle", "POST /graphql"] in lines
    assert any(line[:2] == ["INSERT", "plan"] for line in lines)
    assert any(line[:2] == [_REDIS, "snapshot"] for line in lines)
    recorded = {
        span.attributes["sorafeed.asset"]
        for span in collector.named(_REACT, "record")
        if _TRACE in span.links
    }
    assert {"playlists", "display_timelines", "timeline_cache"} <= recorded
    # Values, such as a search or a token, are not sent.
    statements = [span.attributes.get("db.query.text", "") for span in collector.spans]
    assert not any("cat video" in statement for statement in statements)
    # Looking for work is no trace of its own.
    assert not [s for s in collector.spans if "db.query.text" in s.attributes and not s.parent]


def test_without_an_endpoint_the_sdk_is_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", _SDK_LOADED], env=environment(), check=False)
    assert done.returncode == 0


def test_an_endpoint_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _module: None)
    settings = load_settings(otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(SetupError, match=r"pip install 'sorafeed-assets\[tracing\]'"):
        start_tracing(settings, _API)

"""Every query of the rules and of the dashboard asks for series that a running server has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic import PostgresDsn
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.domain.shadow.outcome import Finding, Outcome
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.services.legacy.catalog import POSTS
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.http.errors import INTERNAL, kind_of
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.backups import Backup, store_backup
from sorafeed_assets.storage.legacy.posts import complete, lock_cursor
from sorafeed_assets.storage.legacy.queues import store_file
from sorafeed_assets.storage.rollouts.prometheus import QUERY
from sorafeed_assets.storage.shadow.comparisons import COUNT, Compared, store
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.metrics import Sample, samples_of
from sorafeed_assets_tests.promql import Matcher, parse_query
from sorafeed_assets_tests.serving.client import (
    Api,
    make_display,
    newest,
    readiness,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_posts

_ROOT: Final = Path(__file__).parents[3]
_PROMTOOL: Final = shutil.which("promtool")
# Prometheus' own series.
_OWN: Final = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
# Labels that Prometheus adds to what it scrapes.
_ADDED: Final = {"job", "instance"}
_OF_RECORDED: Final = {"slo", "table", "queue", "route"}
_LITERAL: Final = re.compile(r"[\w/{}-]+")


@cache
def _groups() -> list[dict[str, Any]]:
    text = (_ROOT / "deploy" / "prometheus" / "sorafeed.rules.yml").read_text(encoding="utf-8")
    return list(yaml.safe_load(text)["groups"])


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _groups() for rule in group["rules"]]


def _recorded() -> set[str]:
    return {rule["record"] for rule in _rules() if "record" in rule}


def _dashboard() -> list[str]:
    text = (_ROOT / "deploy" / "grafana" / "sorafeed.json").read_text(encoding="utf-8")
    panels = json.loads(text)["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def _plain(query: str) -> str:
    """A query of the dashboard, with Grafana's variables replaced."""
    return query.replace("$__rate_interval", "5m")


@pytest.fixture
def samples(
    settings: Settings, postgres: EmbeddedPostgres, engine: Engine
) -> Iterator[set[Sample]]:
    """All samples of a server that has answered requests, settled, counted, and failed."""
    old = PostgresDsn("postgresql://reader@127.0.0.1:1/old")
    beside = settings.model_copy(update={"legacy_catalog_url": old})
    with (
        dagster_database(beside, postgres) as addressed,
        open_instance(addressed),
        serving(addressed, Listening(free_port())) as url,
    ):
        wait_until(lambda: readiness(url).json()["status"] == "ready")
        admin = Api(url, token_of(engine, Role.ADMIN))
        add_posts(engine, "cat", 9)
        make_display(admin, "AAAAAA", newest("cat", 5))
        with engine.begin() as connection:
            compared = Compared(COUNT, "cat", Finding(Outcome.SAME), "mixed")
            store(connection, [compared])
            store_backup(connection, Backup(datetime.now(UTC), "a folder", 1, 1.0))
            lock_cursor(connection, POSTS, datetime.now(UTC))
            complete(connection, POSTS)
            store_file(connection, "/srv/old.sqlite", 1, {})
        admin.ask('mutation { watchTerm(search: "cat") { term } }')
        admin.refusal("{ nothing }")
        admin.refusal('{ count(search: "-x") { total } }')
        for path in ("/admin", "/api/displays/AAAAAA/next", "/metrics"):
            assert admin.http.get(path).is_success

        def read() -> set[Sample]:
            return set(samples_of(admin.http.get("/metrics").text))

        queued = ("sorafeed_reaction_seconds_count", (("stage", "queue"),))
        keys = {("work", "reactions")}
        wait_until(lambda: queued in read() and any(keys <= set(labels) for _, labels in read()))
        yield read()
        admin.close()


def _labels(samples: set[Sample]) -> dict[str, set[str]]:
    """Name → its labels, of scraped and of Prometheus' own series."""
    found: dict[str, set[str]] = dict(_OWN)
    for name, labels in samples:
        found.setdefault(name, set(_ADDED)).update(label for label, _ in labels)
    return found


def _values(samples: set[Sample], name: str, label: str) -> set[str]:
    """The values of a label; a recorded series has those of its rules and of what they select."""
    found = {value for of, labels in samples if of == name for key, value in labels if key == label}
    for rule in _rules():
        if rule.get("record") == name:
            found |= {value for key, value in rule.get("labels", {}).items() if key == label}
            for source, _ in parse_query(rule["expr"]).selected:
                found |= _values(samples, source, label)
    return found


def _missing_values(samples: set[Sample], name: str, matcher: Matcher) -> set[str]:
    """The values that a matcher names, and that no sample has; patterns are only compiled."""
    if matcher.operator in {"=~", "!~"}:
        re.compile(matcher.value)
        named = {part for part in matcher.value.split("|") if _LITERAL.fullmatch(part)}
    else:
        named = {matcher.value}
    if matcher.label == "code":
        return named - {INTERNAL.code, kind_of(UnavailableError()).code}
    # Routes and statuses that are left out may not have occurred.
    if matcher.operator == "!~" and matcher.label in {"route", "status"}:
        return set()
    return named - _values(samples, name, matcher.label)


def _problems_of(samples: set[Sample], name: str, matchers: Sequence[Matcher]) -> list[str]:
    """What is wrong with the selection of a series."""
    labels_of = _labels(samples)
    if name in _recorded():
        labels_of[name] = {m.label for m in matchers if _values(samples, name, m.label)}
    if name not in labels_of:
        return [f"{name} does not exist"]
    unknown = [m.label for m in matchers if m.label not in labels_of[name]]
    problems = [f"{name} has no label {label}" for label in unknown]
    for matcher in matchers:
        if name not in _OWN and matcher.label not in unknown:
            missing = _missing_values(samples, name, matcher)
            problems += [f"{name} has no {matcher.label}={value}" for value in missing]
    return problems


def _problems(samples: set[Sample], text: str) -> list[str]:
    """What is wrong with a query."""
    query = parse_query(text)
    problems: list[str] = []
    labels = set[str]()
    for name, matchers in query.selected:
        problems += _problems_of(samples, name, matchers)
        labels |= _OF_RECORDED if name in _recorded() else _labels(samples).get(name, set())
    problems += [f"no series has {label}" for label in query.grouped_by - labels]
    return [f"{problem}: {text}" for problem in problems]


def test_every_query_asks_for_what_the_server_has(samples: set[Sample]) -> None:
    rules = [rule["expr"] for rule in _rules()]
    dashboard = [_plain(query) for query in _dashboard()]
    assert len(rules) > 40
    assert len(dashboard) > 20
    for query in (*rules, *dashboard, QUERY):
        assert _problems(samples, query) == []
    # A query that is wrong is found.
    for wrong in (
        "sorafeed_displayz",
        'sorafeed_displays{queues="low"}',
        'sorafeed_displays{queue="lowest"}',
        'sorafeed_request_seconds_bucket{le="0.6"}',
        'sorafeed_waiting_rows{table=~"catalog_changes|posts"}',
        "sum by (stage) (sorafeed_displays)",
        "slo:sorafeed_unknown:ratio",
        'slo:sorafeed_burn:fast{slo="speed"}',
        'slo:sorafeed_burn:fast{burn="fast"}',
        'sorafeed:displays:max{queue="lowest"}',
        'sorafeed:waiting_seconds:max{table=~"catalog_changes|posts"}',
    ):
        assert len(_problems(samples, wrong)) == 1, wrong


def test_every_metric_of_the_runbook_exists(samples: set[Sample]) -> None:
    page = (_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bsorafeed_(?!assets)\w+|\b\w+:sorafeed_\w+:\w+", page))
    assert named <= _labels(samples).keys() | _recorded()


@pytest.mark.parametrize("wrong", ["sum(up", "up)", "{a}", 'up{job="a"', "up{job=}", "up ; up"])
def test_what_is_no_query_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_query(wrong)


@pytest.mark.skipif(_PROMTOOL is None, reason="promtool is not installed")
def test_prometheus_parses_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": _plain(query)}
        for number, query in enumerate(_dashboard())
    ]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    subprocess.run([str(_PROMTOOL), "check", "rules", str(path)], check=True)

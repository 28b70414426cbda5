"""The runbook: a section for each alert and no other; its SQL and its commands run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml
from sqlalchemy import Engine

from sorafeed_assets.cli.app import COMMANDS, build
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.dagster_instance import dagster_database

_ROOT: Final = Path(__file__).parents[1]
_PAGE: Final = (_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
_PROMETHEUS: Final = _ROOT / "deploy" / "prometheus"


def _read(name: str) -> Any:
    return yaml.safe_load((_PROMETHEUS / name).read_text(encoding="utf-8"))


def _alerts() -> list[dict[str, Any]]:
    groups = _read("sorafeed.rules.yml")["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    sections = re.findall(r"^## (Sorafeed\w+)$", _PAGE, re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == {rule["alert"] for rule in _alerts()}
    anchors = {_anchor(section) for section in sections}
    for rule in _alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{_anchor(rule['alert'])}"
        assert rule["labels"]["severity"] in {"page", "ticket"}
    for link in re.findall(r"\]\(#([\w-]+)\)", _PAGE):
        assert link in anchors


def test_each_section_says_what_it_means_how_to_look_and_what_to_do() -> None:
    for section in re.split(r"^## (?=Sorafeed)", _PAGE, flags=re.MULTILINE)[1:]:
        parts = re.findall(r"^\*\*(\w+)\.\*\* ?", section, re.MULTILINE)
        assert parts == ["Means", "Look", "Do"], section.splitlines()[0]


def test_links_to_other_pages_lead_somewhere() -> None:
    for target, anchor in re.findall(r"\]\(([\w./]+)(?:#([\w-]+))?\)", _PAGE):
        page = _ROOT / "docs" / target
        headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in map(_anchor, headings), f"{target}#{anchor}"


def test_each_alert_is_tested_to_fire_and_to_be_silent() -> None:
    tests = _read("sorafeed.test.yml")["tests"]
    fired, silent = set[str](), set[str]()
    for test in tests:
        moments = test["promql_expr_test"]
        names = [
            set(re.findall(r'alertname="(\w+)"', str(moment["exp_samples"]))) for moment in moments
        ]
        fires = set[str]().union(*names)
        fired |= fires
        silent |= {name for name in fires if any(name not in found for found in names)}
    alerts = {rule["alert"] for rule in _alerts()}
    assert fired == alerts
    # The first test has a healthy series for each of them; the objectives' own are silent there.
    of_objectives = {rule["alert"] for rule in _alerts() if "burn" in rule["labels"]}
    assert silent | of_objectives == alerts
    assert tests[0]["name"] == "nothing fires while all is well"
    assert any(not moment["exp_samples"] for moment in tests[0]["promql_expr_test"])


@pytest.fixture
def dagster_engine(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[Engine]:
    with dagster_database(settings, postgres) as addressed:
        with open_instance(addressed):
            pass
        engine = create_database_engine(str(addressed.dagster_url), addressed)
        yield engine
        engine.dispose()


def test_its_sql_runs(engine: Engine, dagster_engine: Engine) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", _PAGE, re.DOTALL)
    assert len(blocks) > 10
    for block in blocks:
        on = dagster_engine if block.startswith("-- dagster") else engine
        with on.begin() as connection:
            for statement in filter(str.strip, block.split(";")):
                connection.exec_driver_sql(statement)


def test_its_commands_exist() -> None:
    root = typer.main.get_command(build(*COMMANDS))
    named = re.findall(r"`sorafeed\s+([a-z]+)(?:\s+([a-z]+))?", _PAGE)
    assert named
    for first, second in named:
        command = getattr(root, "commands", {}).get(first)
        assert command is not None, first
        commands = getattr(command, "commands", None)
        assert not second or commands is None or second in commands, (first, second)

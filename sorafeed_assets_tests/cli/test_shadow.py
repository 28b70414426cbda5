"""`sorafeed shadow`: run once, report, and what it refuses."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import answer, exported, refusal, start, wait_until
from sorafeed_assets_tests.shadow.sides import count_all


@pytest.fixture
def variables(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of this test's servers, which are set."""
    found = {
        **settings.as_environment(),
        "SORAFEED_DAGSTER_URL": psycopg2_url(str(settings.database_url)),
        "SORAFEED_SHADOW_DATABASE_SHARE": "1",
        "SORAFEED_SHADOW_GATE_DAYS": "1",
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def old_side(
    variables: dict[str, str],
    settings: Settings,
    engine: Engine,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, str]]:
    """The demo's old side, imported and counted; the variables that name everything."""
    folder = settings.data_dir
    try:
        printed = answer("demo", "legacy", "--posts", 300, "--days", 2, folder=folder)
        named = exported(printed)
        for name, value in named.items():
            monkeypatch.setenv(name, value)
        answer("legacy", "import", folder=folder)
        count_all(engine)
        yield {**variables, **named}
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS sorafeed_legacy_demo WITH (FORCE)")


def test_without_an_old_system_it_says_so(variables: dict[str, str], settings: Settings) -> None:
    assert "set SORAFEED_LEGACY_CATALOG_URL" in refusal(
        "shadow", "run", "--once", folder=settings.data_dir
    )


def test_the_demo_is_compared_and_reported(
    old_side: dict[str, str], settings: Settings, engine: Engine
) -> None:
    folder = settings.data_dir
    printed = answer("shadow", "run", "--once", folder=folder)
    assert "s of the old database's time" in printed
    found = json.loads(answer("shadow", "report", "--json", folder=folder))
    assert found["unexplained"] == []
    assert found["gate"]["is_open"] is True, found
    assert found["kinds"]["count"]["same"] > 0
    assert found["displays"]["OLD001"]
    assert "queue_held_twice" in found["rules"]
    assert set(found["costs"]) == {"count", "repopulate", "admin page"}
    text_report = answer("shadow", "report", folder=folder)
    assert "gate: open: no unexplained difference in the last day" in text_report
    assert "times faster" in text_report
    assert found["old_system"]["rows"] == 416
    assert 30 < found["old_system"]["repeats_per_hundred"] < 45
    assert "416 rows wait where" in text_report
    # Nothing is due again today.
    assert answer("shadow", "run", "--once", folder=folder) == ""
    week = json.loads(answer("shadow", "report", "--json", "--days", 7, folder=folder))
    assert week["gate"]["is_open"] is False
    assert len(week["days"]) == 7


def test_it_runs_until_it_is_stopped(
    old_side: dict[str, str], settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = start(log, "shadow", "run", "--data-dir", str(settings.data_dir), **old_side)

    def compared() -> int:
        with engine.connect() as connection:
            return connection.scalar(text("SELECT count(*) FROM shadow_comparisons")) or 0

    try:
        wait_until(lambda: compared() > 0, "the first comparison")
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()

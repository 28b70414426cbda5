"""`sorafeed rollout`: a rollout from its start to its end, by hand."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sorafeed_assets.cli.rollout import parse_steps
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.rollouts.machine import Step
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import answer, refusal
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts


@pytest.fixture
def folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for commands, which use this test's servers."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", psycopg2_url(str(settings.database_url)))
    return settings.data_dir


def test_a_rollout_by_hand(engine: Engine, folder: Path) -> None:
    add_posts(engine, "cat video", 20)
    for number in range(4):
        add_display(engine, f"WALL{number:02}")
        add_playlist(engine, f"WALL{number:02}", [("cat video", 5)])

    def rollout(*arguments: object) -> str:
        return answer("rollout", *arguments, folder=folder)

    given = ("--flag", "planner", "--value", "creator_gap", "--steps", "5:30m 100")
    assert "rollout gap is running at 5 % since" in rollout("start", "gap", *given)
    assert "is paused at 5 %" in rollout("pause", "gap", "--why", "lunch")
    assert "cannot be forced; resume it first" in refusal(
        "rollout", "force", "gap", "--share", 50, folder=folder
    )
    assert "is running at 5 %" in rollout("resume", "gap")
    assert "is forced at 100 %" in rollout("force", "gap", "--share", 100)
    planners = "SELECT DISTINCT planner FROM timeline_builds"
    assert run(engine, planners) == [("creator_gap",)]
    assert "creator_gap" in rollout("list")
    assert "is stopped at 0 %: too early" in rollout("stop", "gap", "--why", "too early").replace(
        "\n", " "
    ).replace(rollout_since(rollout("show", "gap")), "")
    assert Flags(engine).share("planner") == 0.0
    shown = json.loads(rollout("show", "gap", "--json"))
    assert (shown["status"], shown["share"], shown["verdict"]) == ("stopped", 0.0, None)
    reasons = [change["reason"] for change in shown["changes"]]
    assert reasons == ["too early", "forced by hand", "resumed", "lunch", "started"]
    assert all(change["changed_by"].startswith("sorafeed rollout ") for change in shown["changes"])
    assert "too early" in rollout("show", "gap")
    assert "does not exist; see `sorafeed rollout list`" in refusal(
        "rollout", "show", "none", folder=folder
    )


def rollout_since(shown: str) -> str:
    """The part of a line that tells the time."""
    _, _, rest = shown.partition(" since ")
    return f" since {rest.partition(' UTC')[0]} UTC"


def test_steps_are_shares_and_times() -> None:
    assert parse_steps("5:30m, 25:2h 50:1d 100") == (
        Step(5.0, timedelta(minutes=30)),
        Step(25.0, timedelta(hours=2)),
        Step(50.0, timedelta(days=1)),
        Step(100.0, timedelta(0)),
    )
    for bad in ("5:30", "5:m", "five:1m", "5:1y 100", "5:99999999999d"):
        with pytest.raises(InvalidInputError, match=r"steps\[0\].* write it as 25:30m"):
            parse_steps(bad)

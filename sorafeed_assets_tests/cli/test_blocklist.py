"""`sorafeed blocklist`: exclude, list and allow, as lines and as JSON."""

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, videos_of
from sorafeed_assets_tests.cli.running import answer, refusal


@pytest.fixture
def folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for commands, which use this test's servers."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", psycopg2_url(str(settings.database_url)))
    return settings.data_dir


def test_excluded_listed_and_allowed(folder: Path, engine: Engine) -> None:
    add_posts(engine, "cats", 8)
    add_display(engine, "HALL01")
    add_playlist(engine, "HALL01", [("cats", 4)])
    TimelineService(engine).repopulate(["HALL01"])
    call = ("blocklist", "exclude", "post", "cats-0007")
    said = answer(*call, "--note", "too [loud]", folder=folder)
    assert said.strip() == "post cats-0007 is excluded now: 1 display planned again"
    assert "cats-0007" not in videos_of(engine, "HALL01")
    again = json.loads(answer(*call, "--json", folder=folder))
    assert again == {
        "kind": "post", "id": "cats-0007", "is_new": False, "displays": [], "problems": {},
    }  # fmt: skip
    (entry,) = json.loads(answer("blocklist", "list", "--json", folder=folder))
    assert (entry["kind"], entry["id"], entry["note"]) == ("post", "cats-0007", "too [loud]")
    assert entry["excluded_by"].startswith("sorafeed blocklist exclude")
    (row,) = csv.DictReader(io.StringIO(answer("blocklist", "list", "-o", "csv", folder=folder)))
    assert row["label"] == "A video about cats, cats-0007"
    allowed = answer("blocklist", "allow", "post", "cats-0007", folder=folder)
    assert allowed.strip() == "post cats-0007 is allowed again"
    allowed = answer("blocklist", "allow", "post", "cats-0007", "--json", folder=folder)
    assert not json.loads(allowed)["was_excluded"]
    assert "the catalogue has no creator none" in refusal(
        "blocklist", "exclude", "creator", "none", folder=folder
    )

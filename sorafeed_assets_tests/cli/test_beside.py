"""`sorafeed up` where an old system is named: it follows it by itself, from an empty folder on."""

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import (
    answer,
    end_all,
    exported,
    processes_of,
    start,
    wait_until,
)
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import OldPost, add_old_posts, old_database, scan

_ASSETS = "{ assetNodes { assetKey { path } } }"


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    with old_database(postgres, "old_beside_up") as url:
        yield url


@pytest.fixture
def file(tmp_path: Path) -> OldFile:
    file = OldFile(tmp_path / "old.sqlite")
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("commercial", 4)])
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder; ends processes that a failing test leaves running."""
    folder = tmp_path / "data"
    yield folder
    end_all(processes_of(folder))


def test_up_follows_an_old_system_by_itself(
    folder: Path, tmp_path: Path, old_url: str, file: OldFile
) -> None:
    ids = set(add_old_posts(old_url, 30))
    port, api_port, said = free_port(), free_port(), tmp_path / "said"
    up = start(
        said,
        *("up", "--port", str(port), "--api-port", str(api_port), "--data-dir", str(folder)),
        SORAFEED_LEGACY_CATALOG_URL=old_url,
        SORAFEED_LEGACY_QUEUES=str(file.path),
    )
    wait_until(lambda: "Admin page" in said.read_text() or up.poll() is not None, "its addresses")
    assert up.poll() is None, said.read_text()
    wait_until(lambda: "Old system:" in said.read_text(), "its line")
    database = exported(answer("env", folder=folder))["SORAFEED_DATABASE_URL"]
    engine = create_database_engine(database, Settings())

    def column(statement: str) -> set[object]:
        return {row[0] for row in run(engine, statement)}

    # What the old system has, and nothing of the demo.
    wait_until(lambda: column("SELECT id FROM sora_posts") == ids, "the old posts")
    wait_until(lambda: column("SELECT id FROM displays") == {"HALL01"}, "the old display")
    wait_until(lambda: len(run(engine, "SELECT FROM timeline_videos")) == 5, "its queue")
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("new")])
    file.add_play("HALL01", "new", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
    written = file.path.read_bytes()
    wait_until(lambda: column("SELECT id FROM sora_posts") == {*ids, "new"}, "a new post")
    wait_until(lambda: column("SELECT video_id FROM video_history") == {"new"}, "a new play")

    # Its assets are in the graph, and its comparison has a page.
    asked = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": _ASSETS}, timeout=60)
    nodes = {node["assetKey"]["path"][0] for node in asked.json()["data"]["assetNodes"]}
    assert {"legacy_posts", "shadow_counts", "shadow_timelines"} <= nodes
    (link,) = re.findall(r"^Admin page: +(\S+)$", said.read_text(), re.MULTILINE)
    with httpx.Client(follow_redirects=True, timeout=60) as browser:
        assert browser.get(link).status_code == 200
        page = browser.get(f"http://127.0.0.1:{api_port}/admin/shadow")
    assert "Comparison with the old system" in page.text
    # The days that were compared are given to Dagster: nothing of the old system waits.
    wait_until(
        lambda: not run(engine, "SELECT FROM lineage_records WHERE recorded_at IS NULL"),
        "the records",
    )
    engine.dispose()

    up.send_signal(signal.SIGTERM)
    assert up.wait(240) == 0, said.read_text()
    assert processes_of(folder) == []
    assert file.path.read_bytes() == written

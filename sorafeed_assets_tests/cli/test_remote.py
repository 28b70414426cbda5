"""The remote control by command: what a display is told, and what its player reports."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.services.timelines.remote import Told, store_report
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.cli.running import answer, refusal
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

CODE = "REMOTE"


@pytest.fixture
def folder(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for commands, which use this test's servers."""
    variables = {
        **settings.as_environment(),
        "SORAFEED_DAGSTER_URL": psycopg2_url(str(settings.database_url)),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.data_dir


def _displays(*arguments: object, folder: Path) -> str:
    return answer("displays", *arguments, folder=folder).strip()


def _state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_displays("state", CODE, "--json", folder=folder))
    return found


def test_a_display_is_controlled_by_command(folder: Path, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    add_display(engine, CODE)
    playlist = add_playlist(engine, CODE, [("cat", 4)])
    assert f"{CODE} plays the playlist" in answer("playlists", "activate", playlist, folder=folder)
    videos = [row.video_id for row in queue_of(engine, CODE)]
    assert (
        _displays("skip", CODE, folder=folder) == f"{CODE} plays {videos[1]}, video 2 of its loop"
    )
    assert _displays("previous", CODE, folder=folder).startswith(f"{CODE} plays {videos[0]},")
    done = _displays("play-now", CODE, videos[3], folder=folder)
    assert done == f"{CODE} plays {videos[3]}, video 2 of its loop"
    assert "has no video 'nothing'" in refusal(
        "displays", "play-now", CODE, "nothing", folder=folder
    )
    played = run(engine, "SELECT video_id, was_skipped FROM video_history ORDER BY played_at")
    assert played == [(videos[0], True), (videos[1], True), (videos[0], True)]

    assert _displays("pause", CODE, folder=folder) == f"{CODE}: paused"
    assert _displays("unmute", CODE, folder=folder) == f"{CODE}: not muted"
    assert _displays("volume", CODE, 40, folder=folder) == f"{CODE}: volume 40 %"
    assert _displays("seek", CODE, 2.5, folder=folder) == f"{CODE}: moved to second 2.5"
    assert "must be 0 to 100" in refusal("displays", "volume", CODE, 101, folder=folder)
    shown = _displays("state", CODE, folder=folder)
    assert shown.splitlines() == [
        f"{CODE} is set to: paused, volume 40 %",
        "no player is connected; a player that connects uses these settings",
        "no player has reported yet",
    ]
    told = {"state": "paused", "muted": False, "volume": 40}
    assert _state(folder) == {
        "display": CODE,
        "post": videos[3],
        "is_connected": False,
        "told": told,
        "reported": None,
    }

    run(engine, "UPDATE displays SET status = 'online'")
    store_report(engine, CODE, Told("paused", is_muted=True, volume=40))
    state = _state(folder)
    assert state["is_connected"] is True
    assert state["reported"].items() >= {"view": "paused", "muted": True, "volume": 40}.items()
    assert "UTC: paused" in _displays("state", CODE, folder=folder)
    for verb, words in (("play", "playing"), ("mute", "muted"), ("stop", "stopped")):
        assert _displays(verb, CODE, folder=folder) == f"{CODE}: {words}"
    assert _state(folder)["told"] == {"state": "idle", "muted": True, "volume": 40}
    assert "NONE00 does not exist" in refusal("displays", "pause", "NONE00", folder=folder)

"""What a lost data folder had, and the player that must not notice that it is another one."""

from pathlib import Path
from typing import Final

import httpx
import psycopg

from sorafeed_assets.launch import data_folder
from sorafeed_assets_tests.cli.running import answer

# What a person would miss.
_KEPT: Final = {
    "plays": "SELECT id, display_id, video_id, played_at FROM video_history ORDER BY id",
    "displays": "SELECT id, name, loop_iteration, timeline_position FROM displays ORDER BY id",
    "playlists": "SELECT id, display_id, name, is_active FROM playlists ORDER BY id",
    "blocks": "SELECT id, search_term, video_count, times_played FROM playlist_blocks ORDER BY id",
    "queues": "SELECT id, display_id, video_id, status FROM timeline_videos ORDER BY id",
    "tokens": "SELECT id, name, token_hash FROM api_tokens WHERE role = 'display' ORDER BY id",
}


def kept_in(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """The rows of the running servers of a data folder that have to survive its loss."""
    runtime = data_folder.running(folder)
    assert runtime is not None
    with psycopg.connect(runtime.database_url) as connection:
        return {name: connection.execute(query).fetchall() for name, query in _KEPT.items()}


class Screen:
    """The player of a display, with a token of its own."""

    def __init__(self, folder: Path, port: int, display: str) -> None:
        secret = answer(
            "tokens", "create", "screen", "--role", "display", "--display", display, folder=folder
        )
        self._path = f"/api/displays/{display}"
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {secret.strip()}"},
            timeout=60,
        )

    def queue(self) -> list[str]:
        """The entries that it plays next."""
        found = self._http.get(f"{self._path}/next")
        assert found.status_code == 200, found.text
        return [video["entry"] for video in found.json()["videos"]]

    def play(self) -> None:
        """Play the next video."""
        told = self._http.post(f"{self._path}/played", json={"entry": self.queue()[0]})
        assert told.status_code == 200, told.text

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

"""The export is streamed: its memory does not depend on its length."""

import time
from typing import Final

import httpx
import psutil
import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import token_of, wait_until_loaded
from sorafeed_assets_tests.serving.processes import served

POSTS: Final = 100_000
# All posts are 100 MB as sent, and more as rows. Compression needs some 10 MB of its own
# after its first long answer.
GROWTH: Final = 20_000_000

_ADD_POSTS: Final = """
INSERT INTO sora_posts (id, text, posted_at, width, height)
SELECT 'p' || n, CASE WHEN n <= 1000 THEN 'few ' ELSE '' END || 'many ' || repeat('word ', 160),
    now(), 640, 352
FROM generate_series(1, CAST(:posts AS integer)) AS n
"""


def _export(
    client: httpx.Client, server: psutil.Process, search: str, coding: str, pause: float
) -> tuple[int, int]:
    """The number of lines received, and the server's peak memory meanwhile."""
    lines = most = 0
    asked = client.stream(
        "GET",
        "/api/posts.ndjson",
        params={"search": search},
        headers={"accept-encoding": coding},
    )
    with asked as response:
        assert response.status_code == 200
        for part in response.iter_bytes(500_000):
            lines += part.count(b"\n")
            most = max(most, server.memory_info().rss)
            time.sleep(pause)
    return lines, most


@pytest.mark.parametrize("coding", ["identity", "zstd"])
def test_a_long_export_takes_no_more_memory(
    settings: Settings, engine: Engine, coding: str
) -> None:
    run(engine, _ADD_POSTS, posts=POSTS)
    headers = {"authorization": f"Bearer {token_of(engine, Role.READER)}"}
    with (
        served(settings) as api,
        httpx.Client(base_url=api.url, headers=headers, timeout=60) as client,
    ):
        server = psutil.Process(api.pid)
        wait_until_loaded(api.url)
        for _ in range(3):
            lines, before = _export(client, server, "few", coding, 0.0)
            assert lines == 1_000
        # Also for a slow client.
        for pause in (0.0, 0.03):
            lines, most = _export(client, server, "many", coding, pause)
            assert lines == POSTS
            assert most - before < GROWTH

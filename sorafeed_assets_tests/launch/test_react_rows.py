"""Rows that hypothesis makes, written by SQL: refused when they are written, or followed by all."""

from typing import Any, Final

import dagster as dg
import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.launch.reacting import is_quiet, reacting
from sorafeed_assets_tests.launch.test_react_posts import assert_right
from sorafeed_assets_tests.serving.client import token_of
from sorafeed_assets_tests.wall import add_display, add_playlist

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CODE: Final = "ROWS01"
_TEXT: Final = st.one_of(
    st.sampled_from(
        [
            *("cat", "a CAT video", " cat\t", "%", "\\", "<b>cat</b>", "", "\x00", "cat " * 900),
            "ǅ ſ İ ß cat",
        ]
    ),
    st.text(max_size=12),
)
_URL: Final = st.one_of(
    st.none(),
    _TEXT,
    st.sampled_from(
        ["javascript:alert(1)", "https://[", "//x", "https://a.example/ü?\n", "data:,"]
    ),
)
_MOMENT: Final = st.sampled_from(
    [
        *("2026-03-01 12:00+00", "0001-01-01 00:00+14", "0001-01-02 00:00+00", "4713-01-01 BC"),
        *("9999-12-30 23:59:59+00", "10000-01-01 00:00+00", "55840-01-01", "infinity", "now"),
    ]
)
_NUMBER: Final = st.sampled_from([None, -1, 0, 1, 352, 640, 2**31 - 1, 2**31])
_POST: Final = """
INSERT INTO sora_posts (id, creator_id, text, posted_at, indexed_at, permalink, video_url,
    thumbnail_url, width, height)
VALUES (:id, :creator_id, :text, CAST(:posted_at AS timestamptz), CAST(:indexed_at AS timestamptz),
    :permalink, :video_url, :thumbnail_url, :width, :height)
"""
_CREATOR: Final = """
INSERT INTO creators (id, username, display_name, permalink, follower_count)
VALUES (:id, :username, :display_name, :permalink, :width)
"""
_PLAYLIST: Final = """
WITH made AS (INSERT INTO playlists (display_id, name) VALUES (:display_id, :name) RETURNING id)
INSERT INTO playlist_blocks
    (playlist_id, search_term, video_count, fetch_mode, format, block_order)
SELECT id, :search_term, :video_count, :fetch_mode, :format, :block_order FROM made
"""
_NAME: Final = "UPDATE displays SET name = :name WHERE id = :display_id"
_ROWS: Final = st.one_of(
    st.tuples(
        st.just(_POST),
        st.fixed_dictionaries(
            {
                "id": _TEXT,
                "creator_id": st.none() | _TEXT,
                "text": st.none() | _TEXT,
                "posted_at": _MOMENT,
                "indexed_at": _MOMENT,
                "permalink": _URL,
                "video_url": _URL,
                "thumbnail_url": _URL,
                "width": _NUMBER,
                "height": _NUMBER,
            }
        ),
    ),
    st.tuples(
        st.just(_CREATOR),
        st.fixed_dictionaries(
            {
                "id": _TEXT,
                "username": _TEXT,
                "display_name": _TEXT,
                "permalink": _URL,
                "width": _NUMBER,
            }
        ),
    ),
    st.tuples(
        st.just(_PLAYLIST),
        st.fixed_dictionaries(
            {
                "display_id": st.sampled_from([CODE, "ROWS02"]),
                "name": _TEXT,
                "search_term": _TEXT,
                "video_count": st.sampled_from([0, 1, 500, 501]),
                "fetch_mode": st.sampled_from(["newest", "random", "odd"]),
                "format": st.sampled_from(["mixed", "wide", "tall", ""]),
                "block_order": st.sampled_from([0, 2**31 - 1, -1]),
            }
        ),
    ),
    st.tuples(st.just(_NAME), st.fixed_dictionaries({"display_id": st.just(CODE), "name": _TEXT})),
)
_QUERIES: Final = (
    """{ displays { nodes {
      name
      nowPlaying { videoId post { text } }
      queue { reason post { text postedAt creator width } }
      playlists { nodes { name blocks { search total } } }
    } } }""",
    '{ posts(search: "cat", first: 100) { nodes { id text postedAt width } } }',
    "{ terms(first: 100) { nodes { term } } }",
)
_PAGES: Final = (
    "/admin",
    "/admin/figures",
    "/admin/posts?words=cat",
    f"/admin/displays/{CODE}",
    f"/admin/displays/{CODE}/timetable",
    f"/player/{CODE}",
    f"/api/displays/{CODE}/next",
    f"/api/displays/{CODE}/plan",
    f"/api/displays/{CODE}/guide.json",
    f"/api/displays/{CODE}/guide.xml",
    f"/api/displays/{CODE}/guide.ics",
    "/api/posts.ndjson?search=cat",
    "/metrics",
)


def test_rows_of_all_kinds_are_refused_or_followed(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    for code in (CODE, "ROWS02"):
        add_display(engine, code)
        add_playlist(engine, code, [("cat", 3)])
    token = token_of(engine, Role.ADMIN)
    outcomes = {"refused": 0, "stored": 0}

    @hypothesis_settings(
        max_examples=120,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_ROWS)
    def insert(row: tuple[str, dict[str, Any]]) -> None:
        try:
            run(engine, row[0], **row[1])
        except DBAPIError:
            outcomes["refused"] += 1
        else:
            outcomes["stored"] += 1

    with (
        serving(addressed, Listening(free_port())) as url,
        reacting(addressed, instance),
        httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60
        ) as client,
    ):
        insert()
        assert min(outcomes.values()) > 10, outcomes
        wait_until(lambda: is_quiet(engine), "all of it to be followed")
        assert_right(engine, addressed)
        for query in _QUERIES:
            answer = client.post("/graphql", json={"query": query}).json()
            assert "errors" not in answer, answer
        for page in _PAGES:
            shown = client.get(page)
            assert shown.status_code == 200, (page, shown.text)

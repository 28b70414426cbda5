"""The queries of the API: pages, batches, and how wrong arguments are refused."""

import base64
import json
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.services.counts.typeahead import MOST_COUNTED
from sorafeed_assets.serving.graphql.schema import build_schema, schema_text
from sorafeed_assets_tests.cache_data import store_counts
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import (
    CREATE_DISPLAY,
    Api,
    make_display,
    newest,
    wait_until,
)
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

PAGE = """
query ($first: Int!, $after: String, $orderBy: DisplayOrder! = CODE, $search: String) {
  displays(first: $first, after: $after, orderBy: $orderBy, search: $search) {
    totalCount
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
WALL = """
{
  displays(first: 50) {
    nodes {
      id
      name
      activePlaylist { name blocks { search total seen available } }
      nowPlaying { post { text } }
      queue { post { text } }
    }
  }
}
"""


def _queries(api: Api) -> float:
    pattern = r'sorafeed_database_queries_total{use="read"} (\S+)'
    found = re.search(pattern, api.http.get("/metrics").text)
    assert found is not None
    return float(found[1])


def _codes(reader: Api, size: int, **asked: object) -> list[str]:
    """All display codes, page by page."""
    found: list[str] = []
    after = None
    while True:
        page = reader.ask(PAGE, first=size, after=after, **asked)["displays"]
        found += [edge["node"]["id"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        if not page["pageInfo"]["hasNextPage"]:
            return found
        assert len(page["edges"]) == size
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
        after = page["pageInfo"]["endCursor"]


@pytest.mark.parametrize("order", ["CODE", "NAME", "NEWEST"])
def test_pages_have_every_display_once_in_order(reader: Api, engine: Engine, order: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO displays (id, name, created_at)"
                " SELECT 'D' || lpad(n::text, 5, '0'), 'Hall ' || n % 7,"
                " now() - (n % 5) * interval '1 s' FROM generate_series(1, 23) n"
            )
        )
        key = {"CODE": "id", "NAME": "name, id", "NEWEST": "created_at DESC, id DESC"}[order]
        expected = list(connection.scalars(text(f"SELECT id FROM displays ORDER BY {key}")))
    for size in (4, 23, 100):
        assert _codes(reader, size, orderBy=order) == expected


def test_an_insert_between_two_pages_moves_nothing(admin: Api, engine: Engine) -> None:
    for code in ("BBBBBB", "CCCCCC", "DDDDDD", "EEEEEE"):
        add_display(engine, code)
    first = admin.ask(PAGE, first=2)["displays"]
    admin.ask(CREATE_DISPLAY, name="x", id="AAAAAA")
    second = admin.ask(PAGE, first=2, after=first["pageInfo"]["endCursor"])["displays"]
    assert [edge["node"]["id"] for edge in second["edges"]] == ["DDDDDD", "EEEEEE"]
    assert admin.ask(PAGE, first=1)["displays"]["totalCount"] == 5


def test_a_search_finds_by_name_or_code_and_takes_wildcards_literally(
    admin: Api,
) -> None:
    admin.ask(CREATE_DISPLAY, name="Lobby 100%", id="LOBBY1")
    admin.ask(CREATE_DISPLAY, name="Café", id="CAFE01")
    for search, expected in (
        ("lobby", ["LOBBY1"]),
        ("cafe0", ["CAFE01"]),
        ("%", ["LOBBY1"]),
        ("CAFÉ", ["CAFE01"]),
        ("_", []),
    ):
        found = admin.ask(PAGE, first=9, search=search)["displays"]
        assert [edge["node"]["id"] for edge in found["edges"]] == expected
        assert found["totalCount"] is None


def test_a_page_of_displays_is_a_fixed_number_of_queries(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    add_posts(engine, "dog", 9)
    made: list[float] = []
    for number in (2, 48):
        for n in range(number):
            code = f"F{len(made)}{n:04}"
            make_display(admin, code, newest("cat", 2), newest("dog", 2), newest(f"t{n}", 1))
        before = _queries(admin)
        found = admin.ask(WALL + f"# {number}")["displays"]["nodes"]
        made.append(_queries(admin) - before)
    assert len(found) == 50
    assert all(len(display["activePlaylist"]["blocks"]) == 3 for display in found)
    assert all(display["queue"][0]["post"] for display in found)
    assert made[0] == made[1]


def test_blocks_tell_total_seen_and_available(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 7)
    blocks = [newest("cat", 3), newest("not counted", 1)]
    made = make_display(admin, "COUNT1", *blocks)
    store_counts(engine, {"cat": 7})
    entry = admin.http.get("/api/displays/COUNT1/next").json()["videos"][0]["entry"]
    admin.http.post("/api/displays/COUNT1/played", json={"entry": entry})
    query = "query ($id: ID!) { playlist(id: $id) { blocks { total seen available } } }"
    assert admin.ask(query, id=made["playlist"]["id"])["playlist"]["blocks"] == [
        {"total": 7, "seen": 1, "available": 6},
        {"total": None, "seen": 0, "available": None},
    ]


def test_plan_plays_and_builds_are_told_with_reasons(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 30)
    make_display(admin, "PLAN01", newest("cat", 12))
    for _ in range(3):
        admin.ask('mutation { skip(displayId: "PLAN01") { videoId } }')
    query = """
    query ($plan: String, $plays: String) {
      display(id: "PLAN01") {
        builds { planned loop dryBlocks }
        plan(first: 3, after: $plan) {
          nodes { position reason search status } pageInfo { hasNextPage endCursor }
        }
        plays(first: 2, after: $plays) {
          nodes { videoId wasSkipped text } pageInfo { hasNextPage endCursor }
        }
      }
    }
    """
    first = admin.ask(query)["display"]
    assert first["builds"][0] == {"planned": 12, "loop": 0, "dryBlocks": 0}
    assert [row["position"] for row in first["plan"]["nodes"]] == [8, 9, 10]
    assert first["plan"]["nodes"][0] == {
        "position": 8, "reason": "new", "search": "cat", "status": "planned",
    }  # fmt: skip
    assert [play["videoId"] for play in first["plays"]["nodes"]] == [
        "p_cat_0_0027", "p_cat_0_0028",
    ]  # fmt: skip
    rest = admin.ask(
        query,
        plan=first["plan"]["pageInfo"]["endCursor"],
        plays=first["plays"]["pageInfo"]["endCursor"],
    )["display"]
    assert rest["plan"]["nodes"][0]["position"] == 11
    assert [play["videoId"] for play in rest["plays"]["nodes"]] == ["p_cat_0_0029"]
    assert not rest["plays"]["pageInfo"]["hasNextPage"]


def test_posts_of_a_search_come_newest_first_in_pages(reader: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 5)
    add_posts(engine, "cat", 5, prefix="t", day=1, size=(352, 640))
    query = """
    query ($after: String) {
      posts(search: "cat", first: 4, after: $after) {
        nodes { id width text } pageInfo { hasNextPage endCursor }
      }
    }
    """
    found: list[str] = []
    after = None
    for _ in range(3):
        page = reader.ask(query, after=after)["posts"]
        found += [post["id"] for post in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert found == [
        f"{p}_cat_{d}_{n:04}" for p, d in (("t", 1), ("p", 0)) for n in (4, 3, 2, 1, 0)
    ]
    tall = reader.ask('{ posts(search: "cat", format: TALL, first: 9) { nodes { id } } }')
    assert len(tall["posts"]["nodes"]) == 5


def test_a_small_count_is_exact_and_a_large_one_follows(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 4)
    query = (
        "query ($search: String!) { count(search: $search) { search total exactness isTracked } }"
    )
    assert admin.ask(query, search=" CAT  -dog")["count"] == {
        "search": "cat -dog", "total": 4, "exactness": "EXACT", "isTracked": False,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at)"
                " SELECT 'm' || n, 'many', now() FROM generate_series(1, 10050) n"
            )
        )
    first = admin.ask(query, search="many")["count"]
    assert first == {
        "search": "many", "total": 10001, "exactness": "AT_LEAST", "isTracked": True,
    }  # fmt: skip
    wait_until(lambda: admin.ask(query, search="many")["count"]["exactness"] == "EXACT")
    assert admin.ask(query, search="many")["count"]["total"] == 10050
    error = admin.refusal(query, search="-dog")
    assert error["extensions"]["field"] == "search"


def test_a_count_that_a_reader_or_a_get_asks_for_is_not_tracked(
    reader: Api, admin: Api, engine: Engine
) -> None:
    add_posts(engine, "many", MOST_COUNTED + 1)
    query = '{ count(search: "many") { total exactness isTracked } }'
    untracked = {"total": 10001, "exactness": "AT_LEAST", "isTracked": False}
    assert reader.ask(query)["count"] == untracked
    for api in (reader, admin):
        by_get = api.http.get("/graphql", params={"query": query}).json()
        assert by_get["data"]["count"] == untracked
    assert run(engine, "SELECT count(*) FROM search_terms") == [(0,)]
    # The cached answer of a reader is not the admin's answer.
    assert admin.ask(query)["count"] == {**untracked, "isTracked": True}
    wait_until(lambda: reader.ask(query)["count"]["exactness"] == "EXACT")


def test_cursors_of_another_list_and_forged_ones_are_refused(reader: Api, engine: Engine) -> None:
    for code in ("AAAAAA", "BBBBBB"):
        add_display(engine, code)
        add_playlist(engine, code, [("cat", 1)])
        add_playlist(engine, code, [("dog", 1)])
    cursor = reader.ask(PAGE, first=1)["displays"]["pageInfo"]["endCursor"]
    forged = base64.urlsafe_b64encode(
        json.dumps([json.loads(base64.urlsafe_b64decode(cursor + "=="))[0], 5]).encode()
    ).decode()
    assert "another list" in reader.refusal(PAGE, first=1, after=cursor, orderBy="NAME")["message"]
    assert "another list" in reader.refusal(PAGE, first=1, after=cursor, search="x")["message"]
    for wrong in (forged, "", "?", "AAAA", cursor[:-3], "é" * 40):
        error = reader.refusal(PAGE, first=1, after=wrong)
        assert error["extensions"].pop("problems")[0]["field"] == "after"
        assert error["extensions"] | {"requestId": ""} == {
            "code": "BAD_USER_INPUT", "field": "after", "requestId": "",
        }  # fmt: skip
    of_one = """
    query ($id: ID!, $after: String) {
      display(id: $id) {
        playlists(first: 1, after: $after) { nodes { id } pageInfo { endCursor } }
      }
    }
    """
    of_a = reader.ask(of_one, id="AAAAAA")["display"]["playlists"]
    second = reader.ask(of_one, id="AAAAAA", after=of_a["pageInfo"]["endCursor"])
    assert second["display"]["playlists"]["nodes"] != of_a["nodes"]
    error = reader.refusal(of_one, id="BBBBBB", after=of_a["pageInfo"]["endCursor"])
    assert "another list" in error["message"]


@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
def test_a_page_has_1_to_100_rows(reader: Api, first: int) -> None:
    error = reader.refusal(PAGE, first=first)
    assert error["extensions"]["code"] in {"BAD_USER_INPUT", "QUERY_TOO_LARGE"}


def test_text_of_posts_is_only_text(reader: Api, engine: Engine) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, permalink, video_url, thumbnail_url)"
                " VALUES ('x', :text, now(), 'javascript:alert(1)', 'data:text/html,x', 'ftp://x')"
            ),
            {"text": hostile},
        )
    found = reader.ask(
        '{ posts(search: "script") { nodes { text permalink videoUrl thumbnailUrl } } }'
    )
    assert found["posts"]["nodes"] == [
        {"text": hostile, "permalink": None, "videoUrl": None, "thumbnailUrl": None}
    ]


def test_the_schema_is_the_one_in_the_repository() -> None:
    stored = Path(__file__).parents[3] / "docs" / "schema.graphql"
    assert schema_text(build_schema()) == stored.read_text(encoding="utf-8"), (
        "the schema changed: `python -m sorafeed_assets.serving.graphql > docs/schema.graphql`"
    )

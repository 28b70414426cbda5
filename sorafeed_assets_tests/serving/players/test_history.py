"""The history of a display: marked, filtered by time and block, and exported."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts

PLAYS = """
query ($since: DateTime, $until: DateTime, $block: ID, $after: String) {
  display(id: "HIST01") {
    plays(first: 2, after: $after, since: $since, until: $until, blockId: $block) {
      nodes { text search wasSkipped hasFailed }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


@pytest.fixture
def blocks(admin: Api, engine: Engine) -> list[str]:
    """The ids of two blocks; each play is an hour after the one before, from 1 March, 10:00."""
    add_posts(engine, "cat", 4)
    add_posts(engine, "=dog", 4)
    made = make_display(admin, "HIST01", newest("cat", 2), newest("=dog", 2))
    found = [block["id"] for block in made["playlist"]["blocks"]]
    for number, (block, words) in enumerate([(0, "cat"), (0, "cat"), (1, "=dog"), (1, "=dog")]):
        run(
            engine,
            "INSERT INTO video_history (display_id, video_id, block_id, loop_iteration, played_at,"
            " timeline_video_id, was_skipped) SELECT 'HIST01', p.id, :block, 0,"
            " CAST('2026-03-01T10:00Z' AS timestamptz) + :n * interval '1 hour', uuidv7(), :n > 1"
            " FROM sora_posts p WHERE p.id = :post",
            block=found[block],
            n=number,
            post=f"p_{words}_0_{number:04}",
        )
    run(
        engine,
        "INSERT INTO play_failures (timeline_video_id, display_id)"
        " SELECT timeline_video_id, 'HIST01' FROM video_history ORDER BY played_at DESC LIMIT 1",
    )
    return found


def _plays(admin: Api, **asked: object) -> list[Any]:
    return list(admin.ask(PLAYS, **asked)["display"]["plays"]["nodes"])


def _outcomes(admin: Api, query: str = "") -> list[tuple[str, str, str]]:
    answer = admin.http.get(f"/api/displays/HIST01/history.csv{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = csv.DictReader(io.StringIO(answer.text, newline=""))
    return [(row["played_at"], row["search"], row["outcome"]) for row in rows]


def test_plays_are_marked_and_filtered(admin: Api, blocks: list[str]) -> None:
    skipped = {"search": "=dog", "wasSkipped": True}
    assert _plays(admin) == [
        {"text": "A =dog number p_=dog_0_0003", **skipped, "hasFailed": True},
        {"text": "A =dog number p_=dog_0_0002", **skipped, "hasFailed": False},
    ]
    assert [play["search"] for play in _plays(admin, block=blocks[0])] == ["cat", "cat"]
    between = {"since": "2026-03-01T11:00:00Z", "until": "2026-03-01T13:00:00+01:00"}
    assert [play["text"] for play in _plays(admin, **between)] == ["A cat number p_cat_0_0001"]
    cursor = admin.ask(PLAYS)["display"]["plays"]["pageInfo"]["endCursor"]
    assert [play["search"] for play in _plays(admin, after=cursor)] == ["cat", "cat"]
    # A cursor belongs to its filter.
    assert "another list" in admin.refusal(PLAYS, after=cursor, block=blocks[0])["message"]


def test_the_export_has_what_is_filtered(admin: Api, blocks: list[str]) -> None:
    assert _outcomes(admin) == [
        ("2026-03-01T13:00:00+00:00", "'=dog", "failed"),
        ("2026-03-01T12:00:00+00:00", "'=dog", "skipped"),
        ("2026-03-01T11:00:00+00:00", "cat", "shown"),
        ("2026-03-01T10:00:00+00:00", "cat", "shown"),
    ]
    until = "until=2026-03-01T12:00:00Z"
    assert len(_outcomes(admin, f"?{until}")) == 2
    assert len(_outcomes(admin, f"?block={blocks[1]}")) == 2
    assert _outcomes(admin, f"?block={blocks[1]}&{until}") == []


def test_the_page_has_the_same_filters(admin: Api, blocks: list[str]) -> None:
    page = admin.http.get(f"/admin/displays/HIST01/parts?block={blocks[1]}").text
    history = page.partition('data-part="history"')[2].partition("</section>")[0]
    assert history.count("<li>") == 2
    assert '<span class="tag bad">failed</span>' in history
    assert '<span class="tag">skipped</span>' in history
    assert f"history.csv?block={blocks[1]}" in history


@pytest.mark.parametrize("query", ["since=yesterday", "until=9999-12-31T23:59-23:59", "block=1"])
def test_wrong_filters_are_refused(admin: Api, blocks: list[str], query: str) -> None:
    assert blocks
    answer = admin.http.get(f"/api/displays/HIST01/history.csv?{query}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, query.partition("=")[0])


def test_an_unknown_display_has_no_export(admin: Api) -> None:
    assert admin.http.get("/api/displays/NOSUCH/history.csv").status_code == 404

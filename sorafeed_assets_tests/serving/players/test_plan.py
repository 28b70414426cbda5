"""The signed plan of a player over HTTP, and its plays that are told later."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.services.flags import Flags
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.metrics import samples_of
from sorafeed_assets_tests.services.test_signing import verify
from sorafeed_assets_tests.serving.client import Api, make_display, newest, wait_until
from sorafeed_assets_tests.wall import add_posts

CODE = "PLAN01"


@pytest.fixture
def wall(admin: Api, engine: Engine) -> Api:
    """A display with six videos per loop."""
    add_posts(engine, "cat", 20)
    make_display(admin, CODE, newest("cat", 6))
    return admin


def _keys(api: Api) -> dict[str, str]:
    """The public keys that the player's page has."""
    page = api.http.get(f"/player/{CODE}").text
    given = page.partition("data-keys='")[2].partition("'")[0]
    return {key["id"]: key["public"] for key in json.loads(unescape(given))}


def _plan(api: Api) -> Any:
    return json.loads(api.http.get(f"/api/displays/{CODE}/plan").json()["plan"])


def _play(pick: Mapping[str, Any], at: datetime, **more: object) -> dict[str, Any]:
    names = ("block", "video", "loop", "position", "receipt")
    return {
        "display": CODE,
        "entry": pick["entry"] or str(uuid4()),
        "at": at.isoformat(),
        "pick": {name: pick[name] for name in names},
        **more,
    }


def test_a_plan_is_signed_by_a_key_of_the_page_and_begins_with_the_queue(wall: Api) -> None:
    answer = wall.http.get(f"/api/displays/{CODE}/plan")
    assert answer.headers["cache-control"] == "no-store"
    signed = answer.json()
    verify(_keys(wall)[signed["key"]], signed["signature"], signed["plan"])
    plan = json.loads(signed["plan"])
    queue = wall.http.get(f"/api/displays/{CODE}/next").json()
    assert (plan["display"], plan["build"], plan["state"]) == (CODE, queue["build"], "playing")
    assert len(plan["videos"]) == 300
    assert plan["round"] == 288 + 6  # the last whole loop
    for pick, video in zip(plan["videos"], queue["videos"], strict=False):
        assert {name: pick[name] for name in video if name != "status"} == {
            name: value for name, value in video.items() if name != "status"
        }
    assert {pick["entry"] for pick in plan["videos"][5:]} == {None}
    life = datetime.fromisoformat(plan["expires_at"]) - datetime.fromisoformat(plan["issued_at"])
    assert life == timedelta(hours=168)


def test_plays_are_recorded_when_they_were_shown_whatever_the_player_s_clock_says(
    wall: Api, engine: Engine
) -> None:
    # It plays this playlist since before the server was away.
    run(engine, "UPDATE displays SET dedup_since = now() - interval '1 day'")
    picks = _plan(wall)["videos"][:12]
    # This player's clock is in 1999; it showed a video every hour until a minute ago.
    now = datetime(1999, 1, 1, tzinfo=UTC)
    shown = [now - timedelta(hours=11 - number, minutes=1) for number in range(12)]
    plays = [_play(pick, at) for pick, at in zip(picks, shown, strict=True)]
    plays[3]["skipped"] = True
    body = {"now": now.isoformat(), "plays": plays}
    before = datetime.now(UTC)
    answers = wall.http.post("/api/plays", json=body).json()["plays"]
    after = datetime.now(UTC)
    assert [answer["status"] for answer in answers] == [200] * 12
    assert [answer["entry"] for answer in answers] == [play["entry"] for play in plays]
    rows = run(engine, "SELECT * FROM video_history ORDER BY played_at")
    assert [str(row.timeline_video_id) for row in rows] == [play["entry"] for play in plays]
    for row, at in zip(rows, shown, strict=True):
        assert before <= row.played_at + (now - at) <= after
    assert [row.was_skipped for row in rows] == [number == 3 for number in range(12)]
    # The player follows the server again.
    queue = wall.http.get(f"/api/displays/{CODE}/next").json()
    assert (queue["loop"], queue["position"]) == (2, 0)
    assert queue["videos"][0]["entry"] == answers[-1]["head"]
    # Sent again, after its answer was lost.
    again = wall.http.post("/api/plays", json=body).json()["plays"]
    assert [answer["played_at"] for answer in again] == [a["played_at"] for a in answers]
    assert len(run(engine, "SELECT FROM video_history")) == 12
    late = ("sorafeed_late_plays_total", ())
    assert samples_of(wall.http.get("/metrics").text)[late] == 24


def test_no_play_without_a_place_is_lost_among_others(wall: Api, engine: Engine) -> None:
    picks = _plan(wall)["videos"][:5]
    now = datetime.now(UTC)
    plays = [_play(pick, now) for pick in picks]
    # Two were shown before the player had read the plan: they have to be queued.
    for number in (0, 2):
        del plays[number]["pick"]
    answers = wall.http.post("/api/plays", json={"plays": plays}).json()["plays"]
    assert [answer["status"] for answer in answers] == [200] * 5
    rows = run(engine, "SELECT timeline_video_id FROM video_history")
    assert {str(row.timeline_video_id) for row in rows} == {play["entry"] for play in plays}
    queue = wall.http.get(f"/api/displays/{CODE}/next").json()
    assert (queue["loop"], queue["position"]) == (0, 5)


def test_plays_of_the_future_and_of_long_ago_are_recorded_within_reason(
    wall: Api, engine: Engine
) -> None:
    picks = _plan(wall)["videos"][:3]
    now = datetime.now(UTC)
    moments = [now - timedelta(days=900), now + timedelta(days=9), now + timedelta(days=8)]
    plays = [_play(pick, at) for pick, at in zip(picks, moments, strict=True)]
    assert wall.http.post("/api/plays", json={"now": now.isoformat(), "plays": plays}).is_success
    rows = run(engine, "SELECT * FROM video_history ORDER BY played_at")
    assert [str(row.timeline_video_id) for row in rows] == [play["entry"] for play in plays]
    assert timedelta(days=13) < now - rows[0].played_at <= timedelta(days=14)
    assert now - timedelta(seconds=1) <= rows[1].played_at < rows[2].played_at


def test_a_play_with_a_wrong_receipt_has_to_be_queued(wall: Api, engine: Engine) -> None:
    first, *_, far = _plan(wall)["videos"][:12]
    now = datetime.now(UTC)
    wrong = [_play(pick, now) for pick in (first, far)]
    for play in wrong:
        play["pick"]["receipt"] = "x"
    answers = wall.http.post("/api/plays", json={"plays": wrong}).json()["plays"]
    assert [answer["status"] for answer in answers] == [200, 404]
    assert len(run(engine, "SELECT FROM video_history")) == 1


def test_what_is_no_play_is_refused_by_its_place(wall: Api, engine: Engine) -> None:
    pick = _plan(wall)["videos"][0]
    good = _play(pick, datetime.now(UTC))
    for wrong, field in (
        ({"pick": 5}, "plays[1].pick"),
        ({"pick": {}}, "plays[1].pick.block"),
        ({"pick": {**good["pick"], "block": "x"}}, "plays[1].pick.block"),
        ({"pick": {**good["pick"], "video": None}}, "plays[1].pick.video"),
        ({"pick": {**good["pick"], "video": "a\0"}}, "plays[1].pick.video"),
        ({"pick": {**good["pick"], "loop": True}}, "plays[1].pick.loop"),
        ({"pick": {**good["pick"], "loop": 2**31}}, "plays[1].pick.loop"),
        ({"pick": {**good["pick"], "position": -1}}, "plays[1].pick.position"),
        ({"pick": {**good["pick"], "receipt": 5}}, "plays[1].pick.receipt"),
        ({"at": None}, "plays[1].at"),
        ({"at": "2026-11-25T12:00:00"}, "plays[1].at"),
        ({"at": "yesterday"}, "plays[1].at"),
    ):
        refused = wall.http.post("/api/plays", json={"plays": [good, {**good, **wrong}]})
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
    refused = wall.http.post("/api/plays", json={"now": "soon", "plays": [good]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "now")
    assert run(engine, "SELECT FROM video_history") == []


def test_a_plan_ends_at_a_post_that_is_deleted(wall: Api, engine: Engine) -> None:
    picks = _plan(wall)["videos"]
    run(engine, "DELETE FROM sora_posts WHERE id = :id", id=picks[8]["video"])
    after = _plan(wall)["videos"]
    assert [pick["video"] for pick in after[:8]] == [pick["video"] for pick in picks[:8]]
    assert picks[8]["video"] not in {pick["video"] for pick in after}


def test_a_display_that_the_old_system_drives_gets_no_plan(wall: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        Flags(engine).set_displays(connection, DRIVER, [CODE], "old", by="test", why="test")
    wait_until(lambda: wall.http.get(f"/api/displays/{CODE}/plan").status_code == 409)
    assert wall.http.get("/api/displays/NOSUCH/plan").status_code == 404

"""The page of the rollouts: only for admins, what it shows, and what its forms do."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.storage.prometheus import Prometheus
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.services.rollouts.rolling import NAME, PLAN
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts

HERE = {"sec-fetch-site": "same-origin"}
_PAGE = "/admin/rollouts"
_PLANNER = "SELECT b.planner FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id"


@pytest.fixture
def rolling(engine: Engine, admin: Api) -> Rollouts:
    """A display whose planner is being rolled out."""
    add_posts(engine, "tea", 9)
    make_display(admin, "HALL01", newest("tea", 6))
    rollouts = Rollouts(engine, Flags(engine), lambda _displays: None)
    rollouts.start(PLAN, by="test")
    return rollouts


def test_a_signal_of_the_whole_api_says_what_is_compared_and_why_it_is_not_known(
    engine: Engine, admin: Api
) -> None:
    add_posts(engine, "tea", 9)
    make_display(admin, "HALL01", newest("tea", 6))
    away = Prometheus(f"http://127.0.0.1:{free_port()}")
    rollouts = Rollouts(engine, Flags(engine), lambda _displays: None, prometheus=away)
    rollouts.start(replace(PLAN, signals=rollouts.signals), by="test")
    rollouts.evaluate(NAME)
    page = admin.http.get(_PAGE).text
    assert "since the step began, and before the rollout" in page
    assert "does not answer: [Errno 111] Connection refused; check SORAFEED_PROMETHEUS_URL" in page


def _do(admin: Api, act: str, **fields: object) -> int:
    form = {"name": NAME, "act": act, **fields}
    return admin.http.post(_PAGE, data=form, headers=HERE).status_code


def test_only_an_admin_sees_and_handles_rollouts(
    admin: Api, reader: Api, rolling: Rollouts
) -> None:
    assert reader.http.get(_PAGE).status_code == 403
    assert reader.http.post(_PAGE, data={"act": "stop"}, headers=HERE).status_code == 403
    assert 'href="/admin/rollouts"' in admin.http.get("/admin").text
    assert 'href="/admin/rollouts"' not in reader.http.get("/admin").text
    elsewhere = {"sec-fetch-site": "cross-site"}
    form = {"name": NAME, "act": "stop"}
    assert admin.http.post(_PAGE, data=form, headers=elsewhere).status_code >= 400
    assert rolling.one(NAME)[0].state.percent == 25.0


def test_the_page_handles_a_rollout_and_says_how_it_came_there(
    admin: Api, engine: Engine, rolling: Rollouts
) -> None:
    assert _do(admin, "pause", why="a <b>look</b>") == 303
    page = admin.http.get(_PAGE).text
    assert "a &lt;b&gt;look&lt;/b&gt;" in page
    assert 'value="force"' not in page
    assert _do(admin, "resume") == 303
    assert _do(admin, "force", share="100") == 303
    # The display is settled before the answer.
    assert run(engine, _PLANNER) == [("creator_gap",)]
    rolling.evaluate(NAME)
    page = admin.http.get(_PAGE).text
    assert "By test (admin page); 1 display changed." in page
    assert "too little data" in page
    assert _do(admin, "stop", why="enough") == 303
    assert run(engine, _PLANNER) == [("in_order",)]
    assert "0 %: enough" in admin.http.get(_PAGE).text


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "none", "act": "pause"}, "does not exist"),
        ({"name": NAME, "act": "resume"}, "is running, so it cannot be resumed"),
        ({"name": NAME, "act": "force", "share": "a lot"}, "must be a number of percent"),
        ({"name": NAME, "act": "force", "share": "101"}, "from 0 to 100"),
        ({"name": NAME, "act": "explode"}, "must be one of pause, resume, force, stop"),
    ],
)
def test_a_refused_act_is_told_on_the_page(
    admin: Api, rolling: Rollouts, fields: dict[str, str], problem: str
) -> None:
    answer = admin.http.post(_PAGE, data=fields, headers=HERE)
    assert answer.status_code == 400
    assert problem in answer.text
    assert len(rolling.one(NAME)[1]) == 1

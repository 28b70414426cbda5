"""The page of the flags, and displays that the old system drives, on a served API."""

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.services.flags import Flags
from sorafeed_assets_tests.catalogue import queue_of
from sorafeed_assets_tests.serving.client import Api, make_display, newest, wait_until
from sorafeed_assets_tests.wall import add_posts

HERE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def display(engine: Engine, admin: Api) -> str:
    add_posts(engine, "tea", 9)
    make_display(admin, "HALL01", newest("tea", 6))
    return "HALL01"


def _drive(engine: Engine, driver: str) -> None:
    with engine.begin() as connection:
        Flags(engine).set_displays(connection, DRIVER, ["HALL01"], driver, by="test", why="test")


def test_only_an_admin_sees_and_changes_flags(admin: Api, reader: Api, display: str) -> None:
    assert reader.http.get("/admin/flags").status_code == 403
    form = {"flag": "planner", "value": "creator_gap", "why": "better"}
    assert reader.http.post("/admin/flags", data=form, headers=HERE).status_code == 403
    assert admin.http.get("/admin/flags").status_code == 200
    assert 'href="/admin/flags"' in admin.http.get("/admin").text
    assert 'href="/admin/flags"' not in reader.http.get("/admin").text
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert admin.http.post("/admin/flags", data=form, headers=elsewhere).status_code >= 400
    assert "No flag has been changed yet" in admin.http.get("/admin/flags").text


def test_the_form_changes_a_flag_and_the_page_says_who_and_why(
    admin: Api, engine: Engine, display: str
) -> None:
    form = {"flag": "planner", "value": "creator_gap", "why": "a <b>try</b>", "share": "100"}
    assert admin.http.post("/admin/flags", data=form, headers=HERE).status_code == 303
    page = admin.http.get("/admin/flags?display=hall01").text
    assert "creator_gap for a share of 100 %; in_order for the others" in page
    assert "a &lt;b&gt;try&lt;/b&gt;" in page
    assert "By test (admin page); 1 display changed." in page
    assert "<b>creator_gap</b>: it is in the share of 100 %" in page
    assert admin.http.get("/admin/flags?display=NOHALL").status_code == 404
    assert admin.http.get("/admin/flags?display=%3Cb%3E").status_code == 400
    form = {"flag": "planner", "value": "in_order", "why": "one", "displays": "hall01,"}
    assert admin.http.post("/admin/flags", data=form, headers=HERE).status_code == 303
    assert Flags(engine).value("planner", display) == "in_order"
    form = {"flag": "driver", "value": "shadow", "why": "all"}
    assert admin.http.post("/admin/flags", data=form, headers=HERE).status_code == 303
    assert Flags(engine).value("driver", display) == "shadow"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"flag": "planer"}, "does not exist"),
        ({"value": "best"}, "in_order, creator_gap"),
        ({"share": "a lot"}, "must be a number"),
        ({"share": "120"}, "from 0 to 100"),
        ({"displays": "NOHALL"}, "which does not exist"),
        ({"why": ""}, "must be a text"),
    ],
)
def test_a_refused_change_is_told_on_the_page(
    admin: Api, display: str, fields: dict[str, str], problem: str
) -> None:
    form = {"flag": "planner", "value": "creator_gap", "why": "better", **fields}
    answer = admin.http.post("/admin/flags", data=form, headers=HERE)
    assert answer.status_code == 400
    assert problem in answer.text
    assert "No flag has been changed yet" in answer.text


def test_a_display_on_old_is_refused_to_players_and_its_page_says_so(
    admin: Api, engine: Engine, display: str
) -> None:
    address = f"/api/displays/{display}"
    (first, *_) = admin.http.get(f"{address}/next").json()["videos"]
    for driver in ("old", "shadow"):
        _drive(engine, driver)
        # Other processes hear of it within a second.
        wait_until(lambda: admin.http.get(f"{address}/next").status_code == 409)
        error = admin.http.get(f"{address}/next").json()["error"]
        assert error["code"] == "NOT_DRIVEN"
        assert "sorafeed cutover HALL01" in error["message"]
        body = {"entry": first["entry"]}
        for told in ("played", "started"):
            assert admin.http.post(f"{address}/{told}", json=body).status_code == 409
        many = admin.http.post("/api/plays", json={"plays": [{**body, "display": display}]})
        assert many.json()["plays"][0]["status"] == 409
        refusal = admin.refusal('mutation { skip(displayId: "HALL01") { display { id } } }')
        assert refusal["extensions"]["code"] == "NOT_DRIVEN"
        assert (
            "The old system drives this display"
            in admin.http.get(f"/admin/displays/{display}").text
        )
        assert "Driven by the old system" in admin.http.get("/admin/cards?ids=HALL01").text
    assert str(queue_of(engine, display)[0].id) == first["entry"]
    _drive(engine, "new")
    wait_until(lambda: admin.http.get(f"{address}/next").status_code == 200)
    assert admin.http.post(f"{address}/played", json=body).status_code == 200
    assert "old system" not in admin.http.get(f"/admin/displays/{display}").text


def test_without_an_old_system_nothing_says_which_one_drives(
    admin: Api, engine: Engine, display: str
) -> None:
    assert "driver" not in admin.http.get("/admin/flags?display=HALL01").text
    _drive(engine, "shadow")
    # It was set, so that it can be set back.
    page = admin.http.get("/admin/flags?display=HALL01").text
    assert "<code>driver</code>" in page
    assert "<b>shadow</b>: it was set for this display by name" in page

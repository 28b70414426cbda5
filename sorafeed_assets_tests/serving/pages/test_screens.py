"""Connecting a screen over HTTP: its code, its cookie, limits, links and revocation."""

import re
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role, tokens_of
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, token_of
from sorafeed_assets_tests.wall import add_display

_COOKIE = "sorafeed_player_MINE01"
_CONNECT = """
mutation ($code: String!, $display: ID) {
  connectScreen(code: $code, displayId: $display) { display { id screens { tokenId name } } }
}
"""
_REVOKE = """
mutation ($display: ID!, $token: ID!) {
  revokeScreen(displayId: $display, tokenId: $token) { display { screens { revokedAt } } }
}
"""


@pytest.fixture
def screen(server: str, engine: Engine) -> Iterator[httpx.Client]:
    """A browser without cookies on a screen."""
    add_display(engine, "MINE01")
    with httpx.Client(base_url=server, timeout=60, headers={"origin": server}) as client:
        yield client


@pytest.fixture
def operator(server: str, engine: Engine) -> Iterator[httpx.Client]:
    """An admin's browser."""
    cookies = {"sorafeed_token": token_of(engine, Role.ADMIN)}
    with httpx.Client(
        base_url=server, timeout=60, headers={"origin": server}, cookies=cookies
    ) as client:
        yield client


def _code(screen: httpx.Client) -> str:
    return str(screen.post("/player/pairing").raise_for_status().json()["code"])


def _state(screen: httpx.Client) -> str:
    return str(screen.get("/player/pairing").raise_for_status().json()["state"])


def test_from_a_code_to_the_player(screen: httpx.Client, operator: httpx.Client) -> None:
    assert "Connect this screen" in screen.get("/player").text
    begun = screen.post("/player/pairing").json()
    assert begun["code"] == _code(screen)  # a reload keeps the code
    assert begun["qr"].startswith("data:image/svg+xml")
    assert 500 < begun["seconds"] <= 600
    assert _state(screen) == "waiting"
    page = operator.get(f"/admin/connect/{begun['code']}")
    assert f'value="{begun["code"]}"' in page.text
    answer = operator.post(
        "/admin/connect", data={"code": begun["code"], "display": "MINE01 Lobby"}
    )
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/admin/displays/MINE01/screens",
    )
    connected = screen.get("/player/pairing")
    assert connected.json() == {"state": "connected", "address": "/player/MINE01"}
    kept = [c for c in connected.headers.get_list("set-cookie") if c.startswith(_COOKIE)]
    assert re.search(r"HttpOnly; Max-Age=34560000; Path=/; SameSite=lax", kept[0], re.IGNORECASE)
    assert "sorafeed_pairing" not in dict(screen.cookies)
    assert screen.get("/api/displays/MINE01/next").status_code == 200
    # The screen starts at the same address from then on.
    again = screen.get("/player")
    assert (again.status_code, again.headers["location"]) == (303, "/player/MINE01")
    assert _COOKIE in screen.get("/player/MINE01").headers["set-cookie"]


def test_only_the_screen_of_the_code_gets_the_token(
    screen: httpx.Client, server: str, admin: Api
) -> None:
    code = _code(screen)
    with httpx.Client(base_url=server, timeout=60, headers={"origin": server}) as other:
        _code(other)
        admin.ask(_CONNECT, code=code.lower(), display="MINE01")
        assert _state(other) == "waiting"
        assert not [c for c in other.cookies if c.startswith("sorafeed_player_")]
        assert other.get("/player/MINE01").status_code == 401
    assert _state(screen) == "connected"
    assert admin.refusal(_CONNECT, code=code, display="MINE01")["extensions"]["code"] == "NOT_FOUND"


def test_an_expired_code_is_replaced(screen: httpx.Client, engine: Engine) -> None:
    before = _code(screen)
    run(engine, "UPDATE screen_pairings SET expires_at = now()")
    assert _state(screen) == "expired"
    assert _code(screen) != before
    assert _state(screen) == "waiting"


def test_a_revoked_screen_shows_a_code_again(
    screen: httpx.Client, admin: Api, engine: Engine
) -> None:
    found = admin.ask(_CONNECT, code=_code(screen), display="MINE01")["connectScreen"]["display"]
    assert _state(screen) == "connected"
    assert screen.get("/api/displays/MINE01/next").status_code == 200
    token = found["screens"][0]["tokenId"]
    admin.ask(_REVOKE, display="MINE01", token=token)
    assert screen.get("/api/displays/MINE01/next").status_code == 401
    assert "Connect by a code" in screen.get("/player/MINE01").text
    assert "Connect this screen" in screen.get("/player").text
    assert [each.revoked_at is None for each in tokens_of(engine, "MINE01")] == [False]


def test_a_link_is_created_shown_once_and_revoked(
    screen: httpx.Client, operator: httpx.Client, engine: Engine
) -> None:
    page = operator.post("/admin/displays/MINE01/screens", data={"act": "link", "name": "Hall <b>"})
    link = re.search(r'data-link readonly value="([^"]+)"', page.text)
    assert link is not None
    assert "Hall &lt;b&gt;" in page.text
    assert "token=" not in operator.get("/admin/displays/MINE01/screens").text
    assert screen.get(link[1]).headers["location"] == "/player/MINE01"
    assert screen.get("/player/MINE01").status_code == 200
    (token,) = tokens_of(engine, "MINE01")
    gone = operator.post(
        "/admin/displays/MINE01/screens", data={"act": "revoke", "token": str(token.id)}
    )
    assert gone.status_code == 303
    assert screen.get("/player/MINE01").status_code == 401
    again = operator.post(
        "/admin/displays/MINE01/screens", data={"act": "revoke", "token": str(token.id)}
    )
    assert again.status_code == 404
    assert "was revoked" in again.text


def test_wrong_input_is_said_on_the_page(operator: httpx.Client, screen: httpx.Client) -> None:
    code = _code(screen)
    for sent, status, words in (
        ({"code": "ABC", "display": "MINE01"}, 400, "The code must be the 8 letters"),
        ({"code": "ABCD-EFGH", "display": "MINE01"}, 404, "No screen shows ABCD-EFGH now"),
        ({"code": code}, 400, "The display is missing"),
        ({"code": code, "display": "MINE01", "name": "x"}, 400, "leave one empty"),
        ({"code": code, "display": "NONE00"}, 404, "NONE00"),
    ):
        answer = operator.post("/admin/connect", data=sent)
        assert answer.status_code == status, sent
        assert words in answer.text, sent
    assert operator.post("/admin/connect", data={"code": code, "name": "New"}).status_code == 303


def test_codes_and_guesses_are_limited(screen: httpx.Client, admin: Api) -> None:
    codes = set()
    for _ in range(80):
        screen.cookies.clear()
        answer = screen.post("/player/pairing")
        if answer.status_code == 429:
            break
        codes.add(answer.json()["code"])
    assert answer.status_code == 429
    assert 50 <= len(codes) <= 79
    kinds = {
        admin.refusal(_CONNECT, code="ABCDEFGH", display="MINE01")["extensions"]["code"]
        for _ in range(40)
    }
    assert kinds == {"NOT_FOUND", "TOO_MANY_CALLS"}


def test_another_site_cannot_begin(screen: httpx.Client) -> None:
    forged = screen.post("/player/pairing", headers={"origin": "https://elsewhere.example"})
    assert forged.status_code == 403
    assert "set-cookie" not in forged.headers


def test_a_display_without_a_screen_says_what_to_do(operator: httpx.Client, engine: Engine) -> None:
    add_display(engine, "MINE01")
    address = "/admin/displays/MINE01"
    words = "No screen has a token for this display."
    assert words in operator.get(address).text
    assert "A display that was restored needs this again" in operator.get(f"{address}/screens").text
    operator.post(f"{address}/screens", data={"act": "link"}).raise_for_status()
    assert words not in operator.get(address).text

"""Signing in: cookies beside foreign ones, links with a token, other sites, and tries."""

import html
import re
from collections.abc import Callable, Iterator
from typing import Final

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of
from sorafeed_assets_tests.wall import add_display, add_posts

ADMIN: Final = "sorafeed_token"
PLAYER: Final = "sorafeed_player_MINE01"
GRAPHQL: Final = "/graphql?query={__typename}"


@pytest.fixture
def browser(server: str) -> Iterator[httpx.Client]:
    """A browser without cookies, which does not follow redirects."""
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


@pytest.fixture
def displays(engine: Engine) -> None:
    """Two displays."""
    for code in ("MINE01", "OTHER1"):
        add_display(engine, code)


def _enter(browser: httpx.Client, token: str, target: str = "/admin") -> httpx.Response:
    headers = {"origin": str(browser.base_url).rstrip("/")}
    return browser.post("/admin/enter", data={"token": token, "next": target}, headers=headers)


_ODD: Final = (
    'prefs={"a": 1, "b": [2]}',
    "x=a b c",
    "novalue",
    "=",
    "a[b]=c",
    "é=ü",
    'q="a;',
    "expires=Wed, 21 Oct 2026 07:28:00 GMT",
    "path=/; domain",
    f"{ADMIN}=",
    f"x{ADMIN}=y",
)


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_foreign_cookie_does_not_hide_the_sign_in(
    browser: httpx.Client, engine: Engine, odd: str, *, is_first: bool
) -> None:
    own = f"{ADMIN}={token_of(engine, Role.READER)}"
    sent = f"{odd}; {own}" if is_first else f"{own}; {odd}"
    assert browser.get(GRAPHQL, headers={b"cookie": sent.encode()}).status_code == 200
    # Over HTTP/2 a browser sends each cookie in a header of its own.
    pair = [odd, own] if is_first else [own, odd]
    headers = [(b"cookie", each.encode()) for each in pair]
    assert browser.get(GRAPHQL, headers=headers).status_code == 200


def test_a_cookie_of_another_path_does_not_hide_the_sign_in(
    browser: httpx.Client, engine: Engine
) -> None:
    sent = f"{ADMIN}=sfd_other; {ADMIN}={token_of(engine, Role.READER)}"
    assert browser.get(GRAPHQL, headers={"cookie": sent}).status_code == 200


@pytest.mark.usefixtures("displays")
@pytest.mark.parametrize("path", ["/admin", "/player/MINE01", "/admin/displays/MINE01"])
def test_a_link_with_a_token_redirects_within_the_site_and_without_it(
    browser: httpx.Client, engine: Engine, path: str
) -> None:
    token = token_of(engine, Role.READER)
    for slash in ("", "/"):
        for host in ("evil.example", "evil.example/x"):
            entered = browser.get(f"{path}{slash}?token={token}", headers={"host": host})
            # A server may refuse a host that is none.
            if entered.status_code == 400 and "/" in host:
                continue
            assert (entered.status_code, entered.headers["location"]) == (303, path)
        browser.cookies.clear()
    plain = browser.get(f"{path}/?a=b", headers={"host": "evil.example"})
    assert (plain.status_code, plain.headers["location"]) == (308, path)


@pytest.mark.parametrize("path", ["/graphql/", "/static/../admin/", "/api/events/", "//admin/"])
def test_no_other_address_redirects_by_the_host(reader: Api, path: str) -> None:
    answer = reader.http.get(f"{reader.url}{path}", headers={"host": "evil.example"})
    assert "evil.example" not in answer.headers.get("location", "")


def test_a_link_on_another_sites_page_has_to_be_confirmed(
    browser: httpx.Client, engine: Engine
) -> None:
    token = token_of(engine, Role.ADMIN)
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"referer": "https://evil.example/page"},
    ):
        asked = browser.get("/admin", params={"token": token}, headers=headers)
        assert asked.status_code == 200
        assert "set-cookie" not in asked.headers
        assert "Sign in with it only if you trust the link" in asked.text
    # The form of that page signs in.
    (secret,) = re.findall(r'name="token" value="([^"]*)"', asked.text)
    entered = _enter(browser, html.unescape(secret))
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin")
    assert browser.get("/admin").status_code == 200


def test_a_link_does_not_replace_a_valid_session_unasked(
    browser: httpx.Client, engine: Engine
) -> None:
    own, other = (token_of(engine, Role.ADMIN) for _ in range(2))
    assert browser.get("/admin", params={"token": own}).status_code == 303
    assert browser.get("/admin", params={"token": own}).status_code == 303
    asked = browser.get("/admin", params={"token": other})
    assert "set-cookie" not in asked.headers
    assert browser.cookies[ADMIN] == own
    # One that is no longer valid is replaced.
    browser.cookies.clear()
    browser.cookies.set(ADMIN, "sfd_gone")
    assert browser.get("/admin", params={"token": other}).status_code == 303


def test_another_sites_form_neither_signs_in_nor_out(browser: httpx.Client, engine: Engine) -> None:
    token = token_of(engine, Role.ADMIN)
    browser.cookies.set(ADMIN, token)
    for headers in (
        {},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": str(browser.base_url).rstrip("/")},
    ):
        for path in ("/admin/enter", "/admin/leave"):
            refused = browser.post(path, data={"token": token}, headers=headers)
            assert refused.status_code == 403, (path, headers)
            assert "set-cookie" not in refused.headers
    left = browser.post("/admin/leave", headers={"sec-fetch-site": "same-origin"})
    assert left.status_code == 303


def test_the_pages_let_a_browser_name_the_origin_of_their_forms(browser: httpx.Client) -> None:
    assert browser.get("/admin").headers["referrer-policy"] == "same-origin"
    assert browser.get("/healthz").headers["referrer-policy"] == "no-referrer"


@pytest.mark.usefixtures("displays")
@pytest.mark.parametrize(
    "target", ["/admin", "/admin/displays/OTHER1", "/player/OTHER1", "/admin/nothing"]
)
def test_a_displays_token_signs_in_to_no_page_that_it_may_not_read(
    browser: httpx.Client, engine: Engine, target: str
) -> None:
    token = token_of(engine, Role.DISPLAY, "MINE01")
    refused = _enter(browser, token, target)
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers
    assert refused.headers["content-type"].startswith("text/html")
    assert "This token is for display MINE01 only" in refused.text
    assert _enter(browser, token, "/player/MINE01").status_code == 303
    assert browser.get("/player/MINE01").status_code == 200
    # A cookie that is there already does not end at JSON either.
    browser.cookies.set(ADMIN, token)
    for path in ("/admin", "/admin/displays/OTHER1", "/player/OTHER1"):
        shown = browser.get(path)
        assert shown.status_code == 403
        assert shown.headers["content-type"].startswith("text/html")
        assert 'name="token"' in shown.text


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "https://evil.example",
        "",
        "/player/x",
    ],
)
def test_signing_in_leads_to_a_page_of_this_site(
    browser: httpx.Client, engine: Engine, target: str
) -> None:
    entered = _enter(browser, token_of(engine, Role.ADMIN), target)
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin")


def _by_link(browser: httpx.Client, secret: str) -> httpx.Response:
    return browser.get("/admin", params={"token": secret})


def _by_cookie(browser: httpx.Client, secret: str) -> httpx.Response:
    return browser.get("/admin", headers={"cookie": f"{ADMIN}={secret}"})


def _by_header(browser: httpx.Client, secret: str) -> httpx.Response:
    return browser.get("/admin", headers={"authorization": f"Bearer {secret}"})


@pytest.mark.parametrize("guess", [_by_link, _enter, _by_cookie, _by_header])
def test_guesses_are_slowed_down(
    browser: httpx.Client, guess: Callable[[httpx.Client, str], httpx.Response]
) -> None:
    found = [guess(browser, f"sfd_{number}").status_code for number in range(60)]
    assert found[0] == 401
    assert 429 in found


@pytest.mark.parametrize("guess", [_by_link, _enter])
def test_a_guess_over_the_limit_is_not_looked_up(
    browser: httpx.Client,
    engine: Engine,
    guess: Callable[[httpx.Client, str], httpx.Response],
) -> None:
    token = token_of(engine, Role.ADMIN)
    # Refilled at 5 a second: some of these are still refused.
    found = [guess(browser, token) for _ in range(80)]
    refused = [each for each in found if each.status_code == 429]
    assert refused
    assert all("set-cookie" not in each.headers for each in refused)


def test_a_token_from_a_link_is_in_no_page(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    make_display(admin, "MINE01", newest("cat", 5))
    token = token_of(engine, Role.ADMIN)
    with httpx.Client(base_url=admin.url, follow_redirects=True) as browser:
        page = browser.get("/admin", params={"token": token})
        assert page.url.query == b""
        assert token not in page.text

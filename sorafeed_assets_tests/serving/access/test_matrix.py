"""Every route, with every method, asked with every kind of token.

The routes come from the application: a new one without a line here fails.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine
from starlette.routing import Mount, Route

from sorafeed_assets.demo.clips import routes as clip_routes
from sorafeed_assets.services.tokens import Role, create_token, revoke_token
from sorafeed_assets.serving.access.access import RateLimit
from sorafeed_assets.serving.app import build_app
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import token_of
from sorafeed_assets_tests.wall import add_display

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SAFE: Final = ("GET", "HEAD", "OPTIONS")
# `forged` is an admin's cookie in a request that does not say which site sent it.
KINDS: Final = (
    "none", "unknown", "expired", "revoked", "own", "other", "reader", "admin", "cookie", "forged",
)  # fmt: skip
INVALID: Final = KINDS[:4]


@dataclass(frozen=True)
class Line:
    """A request, and its status for each kind of token in the order of ``KINDS``."""

    address: str
    expected: str
    sent: Mapping[str, Any] = field(default_factory=dict)


ENTRY: Final = str(uuid4())
PLAY: Final = {"json": {"entry": ENTRY}}
QUERY: Final = "{ __typename }"
OPEN: Final = "200 200 200 200 200 200 200 200 200 200"
SLASH: Final = "308 308 308 308 308 308 308 308 308 308"
ALL: Final = "401 401 401 401 403 403 200 200 200 200"
OWN: Final = "401 401 401 401 200 403 200 200 200 200"
ANY: Final = "401 401 401 401 200 200 200 200 200 200"
ADMINS: Final = "401 401 401 401 403 403 403 200 200 200"
# An empty form.
ADMINS_FORM: Final = "401 401 401 401 403 403 403 400 400 403"

LINES: Final[Mapping[tuple[str, str], Line]] = {
    ("/healthz", "GET"): Line("/healthz", OPEN),
    ("/readyz", "GET"): Line("/readyz", OPEN),
    ("/metrics", "GET"): Line("/metrics", ALL),
    ("/graphql", "GET"): Line("/graphql", ANY, {"params": {"query": QUERY}}),
    ("/graphql", "POST"): Line(
        "/graphql", "401 401 401 401 200 200 200 200 200 403", {"json": {"query": QUERY}}
    ),
    ("/api/displays/{code}/next", "GET"): Line("/api/displays/MINE01/next", OWN),
    ("/api/displays/{code}/plan", "GET"): Line("/api/displays/MINE01/plan", OWN),
    ("/api/displays/{code}/played", "POST"): Line(
        "/api/displays/MINE01/played", "401 401 401 401 404 403 404 404 404 403", PLAY
    ),
    ("/api/displays/{code}/started", "POST"): Line(
        "/api/displays/MINE01/started", "401 401 401 401 200 403 200 200 200 403", PLAY
    ),
    ("/api/displays/{code}/remote", "GET"): Line("/api/displays/MINE01/remote", OWN),
    ("/api/displays/{code}/remote", "POST"): Line(
        "/api/displays/MINE01/remote",
        "401 401 401 401 200 403 200 200 200 403",
        {"json": {"view": "playing", "muted": True, "volume": 100}},
    ),
    ("/api/plays", "POST"): Line(
        "/api/plays",
        "401 401 401 401 200 403 200 200 200 403",
        {"json": {"plays": [{"display": "MINE01", "entry": ENTRY}]}},
    ),
    ("/api/displays/{code}/events", "GET"): Line("/api/displays/MINE01/events", OWN),
    ("/api/displays/{code}/guide.json", "GET"): Line("/api/displays/MINE01/guide.json", OWN),
    ("/api/displays/{code}/guide.xml", "GET"): Line("/api/displays/MINE01/guide.xml", OWN),
    ("/api/displays/{code}/guide.ics", "GET"): Line("/api/displays/MINE01/guide.ics", OWN),
    ("/api/displays/{code}/history.csv", "GET"): Line("/api/displays/MINE01/history.csv", OWN),
    ("/api/events", "GET"): Line("/api/events", ALL),
    ("/api/posts.ndjson", "GET"): Line("/api/posts.ndjson?search=cat", ALL),
    ("/", "GET"): Line("/", "303 303 303 303 303 303 303 303 303 303"),
    ("/admin", "GET"): Line("/admin", ALL),
    ("/admin/", "GET"): Line("/admin/", SLASH),
    ("/admin/alerts", "GET"): Line("/admin/alerts", ALL),
    ("/admin/runbook", "GET"): Line("/admin/runbook", ALL),
    ("/admin/cards", "GET"): Line("/admin/cards?ids=MINE01", ALL),
    ("/admin/enter", "POST"): Line(
        "/admin/enter", "401 401 401 401 401 401 401 401 401 403", {"data": {"token": "sfd_x"}}
    ),
    ("/admin/leave", "POST"): Line("/admin/leave", "303 303 303 303 303 303 303 303 303 403"),
    ("/admin/figures", "GET"): Line("/admin/figures", ALL),
    ("/admin/posts", "GET"): Line("/admin/posts?words=cat", ALL),
    ("/admin/posts", "POST"): Line("/admin/posts", ADMINS_FORM),
    ("/admin/posts/exclude", "GET"): Line(
        "/admin/posts/exclude?kind=post&id=none", ADMINS.replace("200", "404")
    ),
    ("/admin/flags", "GET"): Line("/admin/flags", ADMINS),
    ("/admin/flags", "POST"): Line("/admin/flags", ADMINS_FORM),
    ("/admin/rollouts", "GET"): Line("/admin/rollouts", ADMINS),
    ("/admin/rollouts", "POST"): Line("/admin/rollouts", ADMINS_FORM),
    ("/api/playlists/{playlist_id}.{kind}", "GET"): Line(
        f"/api/playlists/{ENTRY}.csv", ALL.replace("200", "404")
    ),
    ("/api/playlists/{playlist_id}/slots.{kind}", "GET"): Line(
        f"/api/playlists/{ENTRY}/slots.csv", ALL.replace("200", "404")
    ),
    ("/api/playlists/{playlist_id}/slots.{kind}", "PUT"): Line(
        f"/api/playlists/{ENTRY}/slots.csv",
        "401 401 401 401 403 403 403 404 404 403",
        {"content": "days,starts,ends,time_zone\n"},
    ),
    ("/admin/templates", "GET"): Line("/admin/templates", ADMINS),
    ("/admin/templates", "POST"): Line("/admin/templates", ADMINS_FORM),
    # There is no old system.
    ("/admin/shadow", "GET"): Line("/admin/shadow", ALL.replace("200", "404")),
    ("/admin/displays/{code}", "GET"): Line("/admin/displays/MINE01", OWN),
    ("/admin/displays/{code}/", "GET"): Line("/admin/displays/MINE01/", SLASH),
    ("/admin/displays/{code}/parts", "GET"): Line("/admin/displays/MINE01/parts", OWN),
    ("/admin/displays/{code}/timetable", "GET"): Line("/admin/displays/MINE01/timetable", OWN),
    ("/admin/displays/{code}/timetable", "POST"): Line(
        "/admin/displays/MINE01/timetable", ADMINS_FORM
    ),
    ("/player/worker.js", "GET"): Line("/player/worker.js", OPEN),
    ("/admin/connect", "GET"): Line("/admin/connect", ADMINS),
    ("/admin/connect", "POST"): Line("/admin/connect", ADMINS_FORM),
    ("/admin/connect/{code}", "GET"): Line("/admin/connect/ABCDEFGH", ADMINS),
    ("/admin/displays/{code}/screens", "GET"): Line("/admin/displays/MINE01/screens", ADMINS),
    ("/admin/displays/{code}/screens", "POST"): Line("/admin/displays/MINE01/screens", ADMINS_FORM),
    ("/player", "GET"): Line("/player", OPEN),
    ("/player/pairing", "GET"): Line("/player/pairing", OPEN),
    ("/player/pairing", "POST"): Line("/player/pairing", f"{OPEN[:-3]}403"),
    ("/player/{code}", "GET"): Line("/player/MINE01", OWN),
    ("/player/{code}/", "GET"): Line("/player/MINE01/", SLASH),
    ("/static", "GET"): Line("/static/admin.css", OPEN),
    ("/clips/{name}", "GET"): Line("/clips/none.webm", OPEN.replace("200", "404")),
}
# Where a request without a valid token reaches the route.
WITHOUT_TOKEN: Final = ("/healthz", "/readyz", "/static", "/clips", "/admin", "/player")

Ask = Callable[[str, str, str, Mapping[str, Any]], int]


def _routes(settings: Settings) -> Iterator[tuple[str, str]]:
    """The paths and methods of the application, without HEAD, which goes with GET."""
    for route in build_app(settings, clip_routes()).routes:
        assert isinstance(route, (Route, Mount)), route
        methods = (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
        yield from ((route.path, method) for method in methods)


def test_every_route_has_a_line(settings: Settings) -> None:
    assert set(_routes(settings)) == set(LINES)


@pytest.fixture
def ask(server: str, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Send a request with a kind of token; returns its status."""
    monkeypatch.setattr(RateLimit, "take", lambda _self, _caller: None)
    for code in ("MINE01", "OTHER1"):
        add_display(engine, code)
    revoked, lost = create_token(engine, Role.ADMIN, "lost")
    revoke_token(engine, revoked)
    expiring, short = create_token(engine, Role.ADMIN, "short", life=timedelta(days=1))
    run(engine, f"UPDATE api_tokens SET expires_at = now() WHERE id = '{expiring}'")
    admin = token_of(engine, Role.ADMIN)
    bearers = {
        "unknown": "sfd_unknown",
        "expired": short,
        "revoked": lost,
        "own": token_of(engine, Role.DISPLAY, "MINE01"),
        "other": token_of(engine, Role.DISPLAY, "OTHER1"),
        "reader": token_of(engine, Role.READER),
        "admin": admin,
    }
    with httpx.Client(timeout=60) as client:

        def asked(kind: str, method: str, address: str, sent: Mapping[str, Any]) -> int:
            headers = {} if kind == "forged" else {"origin": server}
            if kind in bearers:
                headers["authorization"] = f"Bearer {bearers[kind]}"
            elif kind != "none":
                headers["cookie"] = f"sorafeed_token={admin}"
            # Streams do not end, so no body is read.
            with client.stream(method, f"{server}{address}", headers=headers, **sent) as answer:
                assert answer.headers["x-request-id"]
                return answer.status_code

        yield asked


def _expected(path: str, method: str, kind: str) -> int:
    """The status by the table; without a line the method is not allowed."""
    line = LINES.get((path, "GET" if method == "HEAD" else method))
    if line is not None:
        return int(line.expected.split()[KINDS.index(kind)])
    is_open = path == "/" or path.startswith(WITHOUT_TOKEN)
    if kind in INVALID and not is_open:
        return 401
    checks_token = not path.startswith(WITHOUT_TOKEN[:4])
    return 403 if kind == "forged" and method not in SAFE and checks_token else 405


def test_every_request_is_answered_as_its_token_permits(ask: Ask) -> None:
    wrong = {}
    for path in sorted({path for path, _ in LINES}):
        lines = {method: line for (own, method), line in LINES.items() if own == path}
        address = next(iter(lines.values())).address
        for method in METHODS:
            line = lines.get("GET" if method == "HEAD" else method)
            for kind in KINDS:
                status = ask(
                    kind,
                    method,
                    address if line is None else line.address,
                    {} if line is None else line.sent,
                )
                if status != _expected(path, method, kind):
                    wrong[path, method, kind] = (status, _expected(path, method, kind))
    assert wrong == {}

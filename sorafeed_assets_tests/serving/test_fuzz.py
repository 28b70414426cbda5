"""Requests that schemathesis makes from the GraphQL schema and from the HTTP routes.

Whatever is asked, with whatever token, no answer is an error of the server. `make fuzz` sends
50,000 of each kind.
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final

import graphql
import pytest
import requests
import schemathesis
from sqlalchemy import Engine
from starlette.routing import Route

from sorafeed_assets.serving.app import build_app
from sorafeed_assets.serving.graphql.schema import build_schema, schema_text
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.fuzzing import (
    OF_A_DISPLAY,
    UNKNOWN,
    Target,
    cases,
    send_all,
    target_of,
)

# In parts, so that several workers of pytest take them.
PARTS: Final = 2
FEW: Final = 2_500
MANY: Final = 25_000
SERVER_ERRORS: Final = {"INTERNAL", "UNAVAILABLE", "OUTCOME_UNKNOWN"}
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


class _WithIds(graphql.Visitor):
    """Replaces most ids and numbers of a document by ones that exist, always alike."""

    def __init__(self, ids: dict[str, Sequence[str]]) -> None:
        super().__init__()
        self._ids = ids

    def enter_argument(
        self, node: graphql.ArgumentNode, _key: Any, _parent: Any, _path: Any, above: list[Any]
    ) -> graphql.ArgumentNode | None:
        name, value = node.name.value, node.value
        number = zlib.crc32(graphql.print_ast(value).encode("utf-8", "replace"))
        if number % 6 == 0:
            return None
        if name in {"first", "videoCount"}:
            return _changed(node, graphql.IntValueNode(value=str(number % 110)))
        field = next(each for each in reversed(above) if isinstance(each, graphql.FieldNode))
        kind = re.sub("Id$", "", name)
        if kind == "id":
            kind = "display" if "isplay" in field.name.value else "playlist"
        ids = self._ids.get(kind)
        if not ids:
            return None
        return _changed(node, graphql.StringValueNode(value=ids[number % len(ids)]))


def _changed(node: graphql.ArgumentNode, value: graphql.ValueNode) -> graphql.ArgumentNode:
    return graphql.ArgumentNode(name=node.name, value=value)


def _with_ids(body: str, ids: dict[str, Sequence[str]]) -> str:
    try:
        return graphql.print_ast(graphql.visit(graphql.parse(body), _WithIds(ids)))
    except graphql.GraphQLError:
        return body


def _adds_or_deletes(query: str) -> bool:
    return any(word in query for word in ("delete", "restore", "createDisplay"))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_document_is_an_error_of_the_server(
    settings: Settings, engine: Engine, part: int
) -> None:
    schema = schemathesis.graphql.from_file(schema_text(build_schema()))
    codes: set[str] = set()
    with target_of(settings, engine) as target:

        def send(http: requests.Session, made: tuple[Any, int]) -> None:
            case, token = made
            query = _with_ids(str(case.body), target.ids)
            with target.lock if _adds_or_deletes(query) else nullcontext():
                answer = http.post(
                    f"{target.url}/graphql",
                    json={"query": query},
                    headers={"authorization": f"Bearer {target.tokens[token]}"},
                    timeout=120,
                )
            if answer.status_code in {401, 429}:
                assert token in {UNKNOWN, OF_A_DISPLAY}, (query, answer.text)
                return
            body = answer.json()
            found = {error["extensions"]["code"] for error in body.get("errors", [])}
            assert answer.status_code < 500, (query, body)
            assert found.isdisjoint(SERVER_ERRORS), (query, body)
            codes.update(found or {"OK"})
            if "delete" in query and "errors" not in body:
                target.complete()

        send_all(cases(schema), send, few=FEW, many=MANY, seed=part)
    # What is refused alone would show nothing.
    assert codes >= {"OK", "BAD_REQUEST", "BAD_USER_INPUT", "FORBIDDEN"}


Known = Mapping[str, Sequence[str]]
"""Name of a field → texts that mean something there; `@post` stands for the id of a post."""

TEXT: Final = {"type": "string"}
WHOLE: Final = {"type": "integer"}
MOMENTS: Final = ("2026-03-01T12:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z")
NUMBERS: Final = ("1", "5", f"0005{'0' * 30}", "9" * 5_000, "-1")
DAYS: Final = ("2026-03-02", "0001-01-01", "9999-12-31")
NAMES: Final = ("Evening", "a\x00b", "x" * 300)
CSV: Final = ("search_term,video_count\ncat,2\n", "search_term,video_count\ncat,0\n")
WATCHED: Final = {"since": MOMENTS, "until": MOMENTS, "block": ("@block",)}
PATHS: Final[Known] = {
    "code": ("@display",), "playlist_id": ("@playlist",), "kind": ("csv", "json", "xml"),
}  # fmt: skip
QUERIES: Final[Mapping[str, Known]] = {
    "/api/displays/{code}/next": {"count": NUMBERS},
    "/api/displays/{code}/guide.json": {"hours": NUMBERS},
    "/api/displays/{code}/guide.xml": {"hours": NUMBERS},
    "/api/displays/{code}/guide.ics": {"hours": NUMBERS},
    "/api/displays/{code}/history.csv": WATCHED,
    "/api/plays": {"display": ("@display",)},
    "/api/posts.ndjson": {"search": ("cat", "\x00"), "format": ("mixed", "wide", "tall")},
    "/admin": {"token": ("sfd_x",)},
    "/admin/cards": {"ids": ("FUZZ01,FUZZ02", "FUZZ01,\x00")},
    "/admin/flags": {"display": ("@display", "\x00")},
    "/admin/posts": {"words": ("cat", "\x00"), "after": ("@post", "\x00")},
    "/admin/posts/exclude": {"kind": ("post", "creator"), "id": ("@post", "\x00")},
    "/admin/displays/{code}": {"playlist": ("@playlist",), "day": DAYS, **WATCHED},
    "/admin/displays/{code}/parts": WATCHED,
    "/admin/displays/{code}/timetable": {
        "week": DAYS, "zone": ("UTC", "Europe/Berlin", "\x00"), "slot": ("@slot",),
    },
    "/player/{code}": {"token": ("sfd_x",)},
    "/graphql": {"query": ("{ __typename }",), "variables": ("{}",)},
}  # fmt: skip
FORMS: Final[Mapping[str, Known]] = {
    "/admin/enter": {"token": ("sfd_x",), "next": ("/admin", "/player/FUZZ01", "\x00")},
    "/admin/leave": {},
    "/player/pairing": {},
    "/admin/connect": {"code": ("ABCD2345",), "display": ("@display",), "name": NAMES},
    "/admin/flags": {
        "flag": ("planner", "\x00"),
        "value": ("in_order", "creator_gap"),
        "share": ("0", "50", "nan", "inf", "1e999"),
        "displays": ("@display", ""),
        "why": NAMES,
    },
    "/admin/posts": {
        "act": ("exclude", "allow"),
        "kind": ("post", "creator"),
        "id": ("@post", "c1", "\x00"),
        "note": NAMES,
        "words": ("cat", "\x00"),
    },
    "/admin/rollouts": {
        "act": ("pause", "resume", "force", "stop"),
        "name": NAMES,
        "share": ("50", "nan"),
        "why": NAMES,
    },
    "/admin/templates": {
        "act": ("add", "edit", "delete"), "name": NAMES, "csv": CSV, "template": ("@template",),
    },
    "/admin/displays/{code}/timetable": {
        "do": ("base", "remove", "add"),
        "playlist": ("@playlist",),
        "slot": ("@slot", ""),
        "starts": ("08:00", "25:00"),
        "ends": ("12:00", "00:00"),
        "time_zone": ("UTC", "Europe/Berlin", "\x00"),
        "day_1": ("on",),
        "first_day": DAYS,
        "last_day": DAYS,
        "priority": NUMBERS,
    },
    "/admin/displays/{code}/screens": {
        "act": ("link", "revoke"), "name": NAMES, "token": ("@token",),
    },
}  # fmt: skip


def _object(required: Sequence[str] = (), **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required)}


PLAY: Final = _object(
    ["display", "entry"],
    display=TEXT,
    entry=TEXT,
    skipped={"type": "boolean"},
    duration_ms=WHOLE,
    at=TEXT,
    pick=_object(block=TEXT, video=TEXT, loop=WHOLE, position=WHOLE, receipt=TEXT),
)
BODIES: Final[Mapping[str, dict[str, Any]]] = {
    "/graphql": _object(["query"], query=TEXT),
    "/api/displays/{code}/played": PLAY,
    "/api/displays/{code}/started": PLAY,
    "/api/displays/{code}/remote": _object(
        ["view", "muted", "volume"],
        view=TEXT,
        muted={"type": "boolean"},
        volume=WHOLE,
        seconds={"type": "number"},
        entry=TEXT,
    ),
    "/api/plays": _object(now=TEXT, plays={"type": "array", "items": PLAY}),
}
IN_BODIES: Final[Known] = {
    "display": ("@display",),
    "entry": ("@entry",),
    "block": ("@block",),
    "video": ("@post",),
    "at": MOMENTS,
    "now": MOMENTS,
    "view": ("playing", "paused"),
}


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": TEXT}


def _body_of(path: str) -> dict[str, Any]:
    """The body of a POST; a route without a line here fails."""
    if path in BODIES:
        return {JSON: {"schema": BODIES[path]}}
    return {FORM: {"schema": _object((), **dict.fromkeys(FORMS[path], TEXT))}}


def _routes(settings: Settings) -> Iterator[tuple[str, str]]:
    """The paths and methods of the application."""
    for route in build_app(settings).routes:
        if isinstance(route, Route):
            yield from ((route.path, method) for method in (route.methods or set()) - {"HEAD"})


def _described(settings: Settings) -> dict[str, Any]:
    """The routes as an OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for path, method in sorted(_routes(settings)):
        parameters = [_parameter(name, "path") for name in re.findall(r"{(\w+)}", path)]
        parameters += [_parameter(name, "query") for name in QUERIES.get(path, {})]
        operation: dict[str, Any] = {
            "parameters": parameters,
            "responses": {"200": {"description": "an answer"}},
        }
        if method == "POST":
            operation["requestBody"] = {"required": True, "content": _body_of(path)}
        paths.setdefault(path, {})[method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "Sorafeed", "version": "1"}, "paths": paths}


def _filled(made: Any, known: Known, target: Target, *, adds: bool = True) -> Any:
    """What was made, most of it with known texts in its fields, always alike.

    Schemathesis makes any text for such a field, and seldom one that exists. Fields that are
    missing are added where ``adds``.
    """
    if isinstance(made, list):
        return [_filled(each, known, target, adds=adds) for each in made]
    if not isinstance(made, dict):
        return made
    found = {name: _filled(each, known, target, adds=False) for name, each in made.items()}
    for name, texts in known.items():
        number = zlib.crc32(f"{name} {made!r}".encode("utf-8", "replace"))
        if number % 5 and (adds or name in made):
            found[name] = target.known(texts[number // 5 % len(texts)], number // 100)
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_no_request_is_an_error_of_the_server(
    settings: Settings, engine: Engine, part: int
) -> None:
    schema = schemathesis.openapi.from_dict(_described(settings))
    statuses: set[tuple[str, int]] = set()
    with target_of(settings, engine) as target:

        def send(http: requests.Session, made: tuple[Any, int]) -> None:
            case, token = made
            paths = {name: PATHS[name] for name in re.findall(r"{(\w+)}", case.path)}
            case.path_parameters = _filled(case.path_parameters, paths, target)
            case.query = _filled(case.query, QUERIES.get(case.path, {}), target)
            is_form = case.path in FORMS
            known = FORMS[case.path] if is_form else IN_BODIES
            case.body = _filled(case.body, known, target, adds=is_form)
            arguments = case.as_transport_kwargs(base_url=target.url)
            arguments["headers"]["authorization"] = f"Bearer {target.tokens[token]}"
            arguments["headers"]["origin"] = target.url
            # Event streams do not end, so only the beginning of an answer is read.
            with http.request(
                **arguments, stream=True, timeout=120, allow_redirects=False
            ) as answer:
                text = "" if answer.status_code < 400 else answer.text
                assert answer.status_code < 500, (arguments, text)
                assert answer.headers["x-request-id"]
                statuses.add((case.method, answer.status_code))

        send_all(cases(schema), send, few=FEW, many=MANY, seed=part)
    # What is refused alone would show nothing.
    assert statuses >= {("GET", 200), ("GET", 400), ("GET", 404), ("POST", 200), ("POST", 303)}

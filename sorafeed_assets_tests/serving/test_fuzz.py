"""Requests that schemathesis makes from the GraphQL schema and from the HTTP routes.

Whatever is asked, with whatever token, no answer is an error of the server. `make fuzz` sends
50,000 of each kind.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import graphql
import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from sqlalchemy import Engine
from starlette.routing import Route

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.app import build_app
from sorafeed_assets.serving.graphql.schema import build_schema, schema_text
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.wall import add_posts

CODES: Final = ("FUZZ01", "FUZZ02", "FUZZ03")
SERVER_ERRORS: Final = {"INTERNAL", "UNAVAILABLE", "OUTCOME_UNKNOWN"}
JSON: Final = "application/json"


class Target:
    """A served API with displays that play, whose ids requests are made with."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self._engine = engine
        self._admin = Api(url, token_of(engine, Role.ADMIN))
        self.tokens = [
            token_of(engine, Role.ADMIN),
            token_of(engine, Role.READER),
            "sfd_unknown",
            "of a display",
        ]
        self.complete()
        self.http = requests.Session()

    def complete(self) -> None:
        """Create the displays that were deleted, and read all ids."""
        found = {code for (code,) in run(self._engine, "SELECT id FROM displays")}
        for code in CODES:
            if code not in found:
                make_display(self._admin, code, newest("cat", 5), newest("dog", 2))
        self.tokens[3] = token_of(self._engine, Role.DISPLAY, CODES[0])
        self.ids: dict[str, Sequence[str]] = {
            "display": CODES,
            "playlist": self._read("SELECT id FROM playlists ORDER BY id LIMIT 50"),
            "entry": self._read("SELECT id FROM timeline_videos ORDER BY id LIMIT 50"),
        }

    def _read(self, statement: str) -> list[str]:
        return [str(key) for (key,) in run(self._engine, statement)]

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
        self._admin.close()


@contextmanager
def _target(settings: Settings, engine: Engine) -> Iterator[Target]:
    free = settings.model_copy(update={"api_calls_per_second": 1_000_000})
    add_posts(engine, "cat", 30)
    add_posts(engine, "dog", 3)
    with serving(free, Listening(free_port())) as url:
        wait_until(lambda: requests.get(f"{url}/readyz", timeout=60).status_code == 200)
        target = Target(url, engine)
        yield target
        target.close()


def _many(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    """Run a check on examples: always the same few, or many others by `make fuzz`."""
    is_long = hypothesis.settings.get_current_profile_name() == "fuzz"
    options = hypothesis.settings(
        max_examples=50_000 if is_long else 150,
        derandomize=not is_long,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    options(given(strategy)(check))()


def _cases(schema: Any) -> st.SearchStrategy[Any]:
    operations = [found.ok() for found in schema.get_all_operations()]
    return st.tuples(
        st.tuples(st.sampled_from(operations), st.sampled_from(GenerationMode)).flatmap(
            lambda chosen: chosen[0].as_strategy(generation_mode=chosen[1])
        ),
        st.sampled_from([0, 0, 0, 1, 2, 3]),
    )


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


def test_no_document_is_an_error_of_the_server(settings: Settings, engine: Engine) -> None:
    schema = schemathesis.graphql.from_file(schema_text(build_schema()))
    codes: set[str] = set()
    with _target(settings, engine) as target:

        def check(made: tuple[Any, int]) -> None:
            case, token = made
            try:
                document = graphql.visit(graphql.parse(str(case.body)), _WithIds(target.ids))
                query = graphql.print_ast(document)
            except graphql.GraphQLError:
                query = str(case.body)
            answer = target.http.post(
                f"{target.url}/graphql",
                json={"query": query},
                headers={"authorization": f"Bearer {target.tokens[token]}"},
                timeout=120,
            )
            if answer.status_code == 401:
                assert token in {2, 3}
                return
            body = answer.json()
            found = {error["extensions"]["code"] for error in body.get("errors", [])}
            assert answer.status_code < 500, (query, body)
            assert found.isdisjoint(SERVER_ERRORS), (query, body)
            codes.update(found or {"OK"})
            if "delete" in query and "errors" not in body:
                target.complete()

        _many(check, _cases(schema))
    # What is refused alone would show nothing.
    assert codes >= {"OK", "BAD_REQUEST", "BAD_USER_INPUT", "FORBIDDEN"}


def _parameter(name: str, place: str, kind: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": kind}


TEXT: Final = {"type": "string"}
ENTRY: Final = {"type": "string", "format": "uuid"}
DISPLAY: Final = {"enum": list(CODES)}
PLAY: Final = {
    "type": "object",
    "properties": {"display": DISPLAY, "entry": ENTRY, "skipped": {"type": "boolean"}},
    "required": ["display", "entry"],
}
QUERIES: Final[dict[str, dict[str, Any]]] = {
    "/api/displays/{code}/next": {"count": {"type": "integer"}},
    "/api/plays": {"display": DISPLAY},
    "/api/posts.ndjson": {"search": TEXT, "format": {"enum": ["mixed", "wide", "tall"]}},
    "/admin": {"token": TEXT},
    "/admin/cards": {"ids": TEXT},
    "/player/{code}": {"token": TEXT},
    "/graphql": {"query": TEXT, "variables": TEXT, "operationName": TEXT, "extensions": TEXT},
}
BODIES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "/graphql": (JSON, {"type": "object", "properties": {"query": TEXT}, "required": ["query"]}),
    "/api/displays/{code}/played": (JSON, PLAY),
    "/api/displays/{code}/started": (JSON, PLAY),
    "/api/plays": (
        JSON,
        {"type": "object", "properties": {"plays": {"type": "array", "items": PLAY}}},
    ),
    "/admin/enter": (
        "application/x-www-form-urlencoded",
        {"type": "object", "properties": {"token": TEXT, "next": TEXT}},
    ),
}


def _described(routes: Sequence[Any]) -> dict[str, Any]:
    """The routes as an OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if not isinstance(route, Route):
            continue
        parameters = [_parameter("code", "path", DISPLAY)] if "{code}" in route.path else []
        parameters += [
            _parameter(name, "query", kind) for name, kind in QUERIES.get(route.path, {}).items()
        ]
        for method in (route.methods or set()) - {"HEAD"}:
            operation: dict[str, Any] = {
                "parameters": parameters,
                "responses": {"200": {"description": "an answer"}},
            }
            if method == "POST" and route.path in BODIES:
                kind, schema = BODIES[route.path]
                operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
            paths.setdefault(route.path, {})[method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "Sorafeed", "version": "1"}, "paths": paths}


def test_no_request_is_an_error_of_the_server(settings: Settings, engine: Engine) -> None:
    schema = schemathesis.openapi.from_dict(_described(build_app(settings).routes))
    statuses: set[int] = set()
    with _target(settings, engine) as target:
        entries = [UUID(entry) for entry in target.ids["entry"]]

        def check(made: tuple[Any, int]) -> None:
            case, token = made
            if isinstance(case.body, dict) and zlib.crc32(repr(case.body).encode()) % 4:
                case.body["entry"] = str(entries[len(repr(case.body)) % len(entries)])
            arguments = case.as_transport_kwargs(base_url=target.url)
            arguments["headers"]["authorization"] = f"Bearer {target.tokens[token]}"
            # Event streams do not end, so only the beginning of an answer is read.
            with target.http.request(
                **arguments, stream=True, timeout=120, allow_redirects=False
            ) as answer:
                text = "" if answer.status_code < 400 else answer.text
                assert answer.status_code < 500, (arguments, text)
                assert answer.headers["x-request-id"]
                statuses.add(answer.status_code)

        _many(check, _cases(schema))
    assert statuses >= {200, 400, 404}

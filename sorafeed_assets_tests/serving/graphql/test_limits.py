"""The limits of one request, and of one caller per second."""

from collections.abc import Callable

import pytest
from graphql import OperationDefinitionNode, parse
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.graphql import documents, execution, limits
from sorafeed_assets.serving.graphql.execution import Executor, Request
from sorafeed_assets.serving.graphql.limits import MAX_DEPTH, check_size
from sorafeed_assets.serving.graphql.schema import build_schema, executable
from sorafeed_assets.serving.http.errors import QueryTooLargeError
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import Api, token_of

DISPLAYS = "{ displays(first: 1) { nodes { id } } }"


def _check(query: str) -> None:
    document = parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    check_size(document, operation, {})


def _nested(depth: int) -> str:
    return "{ a " * depth + "} " * depth


def _spread(depth: int) -> str:
    return "{ a { ...F } } fragment F on T " + _nested(depth - 1)


@pytest.mark.parametrize("written", [_nested, _spread])
def test_a_document_may_be_as_deep_as_the_limit(written: Callable[[int], str]) -> None:
    _check(written(MAX_DEPTH))
    with pytest.raises(QueryTooLargeError, match=r"depth is 13; at most 12"):
        _check(written(MAX_DEPTH + 1))


def test_a_document_that_is_too_deep_is_refused(
    reader: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The schema has no cycle, so no valid document reaches the real limit.
    monkeypatch.setattr(limits, "MAX_DEPTH", 4)
    error = reader.refusal("{ displays { nodes { activePlaylist { blocks { search } } } } }")
    assert error["message"] == "the query's depth is 5; at most 4 is allowed"
    assert error["extensions"]["code"] == "QUERY_TOO_LARGE"
    assert reader.ask("{ displays { nodes { activePlaylist { name } } } }")


_MULTIPLIED = """
query ($n: %s) {
  displays(first: $n) {
    nodes { playlists(first: $n) { nodes { blocks { id search } } } }
  }
}
"""


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        ("Int = 100", {}),
        ("Int! = 100", {}),
        ("Int! = 20", {"n": 100}),
        ("Int!", {"n": 100}),
        ("Int!", {"n": 100.0}),
    ],
)
def test_the_cost_is_of_what_is_executed(
    reader: Api, kind: str, variables: dict[str, float]
) -> None:
    error = reader.refusal(_MULTIPLIED % kind, **variables)
    assert error["extensions"]["code"] == "QUERY_TOO_LARGE"
    assert "cost" in error["message"]
    assert reader.ask(_MULTIPLIED % "Int = 3") == {"displays": {"nodes": []}}


def test_a_request_that_takes_too_long_is_answered(
    reader: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.ask("{ __typename }")
    monkeypatch.setattr(execution, "_TIME_SECONDS", 0.2)
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE displays IN ACCESS EXCLUSIVE MODE"))
        error = reader.refusal(DISPLAYS)
    assert error["message"] == "the query took longer than 0.2 s; ask for less"
    assert error["extensions"]["code"] == "UNAVAILABLE"
    monkeypatch.undo()
    assert reader.ask(DISPLAYS) == {"displays": {"nodes": []}}


def test_a_token_that_calls_too_often_waits_and_others_do_not(
    settings: Settings, engine: Engine
) -> None:
    few = settings.model_copy(update={"api_calls_per_second": 5})
    with serving(few, Listening(free_port())) as url:
        hasty, calm = (Api(url, token_of(engine, Role.READER)) for _ in range(2))
        answers = [hasty.post("{ __typename }") for _ in range(60)]
        assert answers[0].status_code == 200
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert refused[0].headers["retry-after"] == "1"
        error = refused[0].json()["error"]
        assert error["code"] == "TOO_MANY_CALLS"
        assert "more than 5 calls a second" in error["message"]
        assert calm.post("{ __typename }").status_code == 200
        hasty.close()
        calm.close()


def test_documents_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_MOST_DOCUMENT_BYTES", 2_000_000)
    executor = Executor(executable(build_schema()))
    small = "{ __typename }"
    first = executor.prepare(Request(small, {}, None)).document
    # Each of these has many tokens, and takes some 500 kB when it is parsed.
    for number in range(8):
        large = (
            f'mutation M{number} {{ createPlaylist(displayId: "AAAAAA", name: "x", blocks: ['
            + '{search: "a", videoCount: 1}' * 200
            + "]) { problem } }"
        )
        assert executor.prepare(Request(large, {}, None)).document is (
            executor.prepare(Request(large, {}, None)).document
        )
    assert executor.prepare(Request(small, {}, None)).document is not first
    assert executor.documents.size <= 2_000_000
    long = '{ display(id: "' + "x" * 900_000 + '") { id } }'
    for number in range(4):
        executor.prepare(Request(long + " " * number, {}, None))
    assert executor.documents.size <= 2_000_000

"""Documents that take long to validate keep no other caller waiting."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Final

import pytest
from graphql import get_introspection_query, validate

from sorafeed_assets.serving.graphql import documents
from sorafeed_assets_tests.serving.client import Api, wait_until

MANY: Final = "{ " + "__typename " * 1_990 + "}"


class Validation:
    """Counts validations; ``go_on`` ends those of a document with the word ``slow``."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = Event()

    def __call__(self, schema: Any, document: Any, *rest: Any, **options: Any) -> Any:
        body = document.loc.source.body
        self.begun.append(body)
        if "slow" in body:
            assert self.go_on.wait(120)
        return validate(schema, document, *rest, **options)


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Validation]:
    """The server's validation, counted and held."""
    found = Validation()
    monkeypatch.setattr(documents, "validate", found)
    yield found
    found.go_on.set()


def _slow(number: int) -> str:
    return f"query slow{number} {{ __typename }}"


def test_a_document_that_is_being_validated_keeps_no_one_waiting(
    reader: Api, validation: Validation
) -> None:
    reader.ask("{ __typename }")
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(reader.ask, _slow(0))
        wait_until(lambda: bool(validation.begun[1:]))
        # In the event loop the validation would keep all of these waiting.
        assert reader.http.get("/healthz", timeout=30).status_code == 200
        assert reader.ask("{ __typename }") == {"__typename": "Query"}
        assert not slow.done()
        validation.go_on.set()
        assert slow.result() == {"__typename": "Query"}


def test_a_document_is_validated_once_for_all_who_ask_at_once(
    reader: Api, validation: Validation
) -> None:
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(reader.ask, _slow(0)) for _ in range(20)]
        wait_until(lambda: bool(validation.begun))
        validation.go_on.set()
        assert all(each.result() == {"__typename": "Query"} for each in asked)
    assert validation.begun == [_slow(0)]


def test_a_token_has_few_documents_validated_at_once(
    reader: Api, admin: Api, validation: Validation
) -> None:
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(reader.post, _slow(number)) for number in range(20)]
        wait_until(lambda: sum(each.done() for each in asked) == 12)
        other = threads.submit(admin.ask, "query other { __typename }")
        validation.go_on.set()
        statuses = sorted(each.result().status_code for each in asked)
        assert other.result() == {"__typename": "Query"}
    assert statuses == [200] * 8 + [429] * 12


def test_a_refused_document_is_not_validated_again(reader: Api, validation: Validation) -> None:
    first = reader.refusal("{ nothing }")
    again = reader.refusal("{ nothing }")
    assert validation.begun == ["{ nothing }"]
    assert first["message"] == again["message"]
    assert first["locations"] == again["locations"] == [{"line": 1, "column": 3}]
    assert first["extensions"]["requestId"] != again["extensions"]["requestId"]


def test_too_many_selections_are_refused_before_validation(
    reader: Api, validation: Validation
) -> None:
    spread = "{ " + "...A " * 301 + "} fragment A on Query { __typename }"
    for query in (MANY, spread, "{ " + "... { __typename } " * 151 + "}"):
        error = reader.refusal(query)
        assert error["extensions"]["code"] == "QUERY_TOO_LARGE"
        assert "number of selections" in error["message"]
    aliases = "{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }"
    assert "number of aliases is 31" in reader.refusal(aliases)["message"]
    assert validation.begun == []
    reader.ask("{ " + "__typename " * 300 + "}")


def test_variables_with_too_many_values_are_refused(admin: Api) -> None:
    query = (
        "mutation ($blocks: [BlockInput!]!) {"
        ' createPlaylist(displayId: "AAAAAA", name: "x", blocks: $blocks) { problem } }'
    )
    error = admin.refusal(query, blocks=[{"search": "a", "videoCount": 1}] * 20_000)
    assert error["extensions"]["code"] == "QUERY_TOO_LARGE"
    assert "values in variables" in error["message"]
    # Wrong ones are told up to a number.
    body = admin.post(query, blocks=[5] * 4_000).json()
    assert len(body["errors"]) <= 11


def _fields(count: int) -> str:
    return "{ " + " ".join(
        f"a{n}: __schema {{ types {{ fields {{ args {{ name type {{ name }} }} }} }} }}"
        for n in range(count)
    ) + " }"  # fmt: skip


def test_introspection_has_a_cost_and_runs_beside_the_event_loop(reader: Api) -> None:
    assert reader.ask(get_introspection_query())["__schema"]
    assert reader.ask(_fields(3))["a2"]
    assert "cost" in reader.refusal(_fields(30))["message"]
    mixed = "{ __schema { description } displays { nodes { id } } }"
    assert "send two queries" in reader.refusal(mixed)["message"]

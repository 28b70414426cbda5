"""Values that no field can take: refused by name, for every argument of the schema."""

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)

from sorafeed_assets.serving.graphql.execution import digest
from sorafeed_assets.serving.graphql.schema import build_schema, executable
from sorafeed_assets_tests.serving.client import Api

SCHEMA: Final[GraphQLSchema] = executable(build_schema())
REFUSED: Final = {"BAD_USER_INPUT", "BAD_REQUEST", "QUERY_TOO_LARGE", "NOT_FOUND"}
NUMBER: Final = "9" * 5_000
WRITTEN: Final = ('"a\\u0000b"', '"\ud800"', NUMBER, f"-{NUMBER}", f"{NUMBER}.5", "1e99999")
# A display that does not exist has a problem of its own in the answer, beside those that do.
EACH_BY_EACH: Final = {"activateNamed.displayIds", "deleteDisplays.displayIds"}
SENT: Final = ('"a\\u0000b"', '"\\ud800"', '"AAAA\\udc00A"', NUMBER, "9" * 4_000, "1e400", "NaN")


class Place(NamedTuple):
    """An argument, or a field of one: a document with ``%s`` for its value, and its type."""

    operation: str
    name: str
    document: str
    kind: str


def _value(kind: object, hole: str | None = None) -> str:
    """A literal of a type; the field ``hole`` of an input object is left open."""
    if isinstance(kind, GraphQLNonNull):
        return _value(kind.of_type, hole)
    if isinstance(kind, GraphQLList):
        return f"[{_value(kind.of_type, hole)}]"
    if isinstance(kind, GraphQLInputObjectType):
        shown = {
            name: "%s" if name == hole else _value(field.type)
            for name, field in kind.fields.items()
            if name == hole or is_required_input_field(field)
        }
        return "{" + ", ".join(f"{name}: {value}" for name, value in shown.items()) + "}"
    name = str(kind)
    return {"Int": "1", "String": '"x"', "ID": '"AAAAAA"'}.get(name, "null")


def _places() -> Iterator[Place]:
    for operation, root in (("query", SCHEMA.query_type), ("mutation", SCHEMA.mutation_type)):
        assert root is not None
        for name, field in root.fields.items():
            inner = (
                ""
                if isinstance(get_named_type(field.type), GraphQLScalarType)
                else (" { __typename }")
            )
            for changed, argument in field.args.items():
                kind = get_named_type(argument.type)
                holes = list(kind.fields) if isinstance(kind, GraphQLInputObjectType) else [None]
                for hole in holes:
                    parts = [
                        f"{each}: "
                        + (
                            _value(other.type)
                            if each != changed
                            else "%s"
                            if hole is None
                            else _value(other.type, hole)
                        )
                        for each, other in field.args.items()
                        if each == changed or is_required_argument(other)
                    ]
                    typed = argument.type if hole is None else kind.fields[hole].type
                    yield Place(
                        operation,
                        f"{name}.{hole or changed}",
                        f"{name}({', '.join(parts)}){inner}",
                        str(typed),
                    )


PLACES: Final = list(_places())


def test_every_argument_is_tried() -> None:
    assert len({place.name for place in PLACES}) > 30
    assert {place.operation for place in PLACES} == {"query", "mutation"}


def test_values_that_cannot_be_are_refused_for_every_argument(admin: Api) -> None:
    wrong = []
    for place in PLACES:
        bodies = [f"{place.operation} {{ {place.document % value} }}" for value in WRITTEN]
        sent = [json.dumps({"query": body}) for body in bodies]
        query = f"{place.operation} ($v: {place.kind}) {{ {place.document % '$v'} }}"
        sent += [f'{{"query": {json.dumps(query)}, "variables": {{"v": {v}}}}}' for v in SENT]
        for body in sent:
            answer = admin.http.post(
                "/graphql", content=body, headers={"content-type": "application/json"}
            )
            while answer.status_code == 429:
                answer = admin.http.post(
                    "/graphql", content=body, headers={"content-type": "application/json"}
                )
            codes = {each["extensions"]["code"] for each in answer.json().get("errors", [])}
            refused = bool(codes) or place.name in EACH_BY_EACH
            if not refused or not codes <= REFUSED or answer.status_code >= 500:
                wrong.append((place.name, body[:200], answer.status_code, codes))
    assert wrong == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "\ud800"}, {"a": "?"}),
        ({"a": "\ud800"}, {"a": "\udfff"}),
        ({"a": "\ud800"}, {"a": "\\ud800"}),
        (["a", "b"], ["a,b"]),
        ([1], ["1"]),
        ([None], ["null"]),
    ],
)
def test_different_questions_have_different_keys(one: object, other: object) -> None:
    assert digest(one) != digest(other)
    assert digest(one) == digest(json.loads(json.dumps(one)))

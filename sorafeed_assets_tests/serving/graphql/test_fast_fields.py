"""Fast fields give the same values and errors as graphql-core."""

import asyncio
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

import pytest
import strawberry
from graphql import ExecutionContext, ExecutionResult, execute, parse, validate

from sorafeed_assets.serving.graphql.fast_fields import FastFieldContext
from sorafeed_assets.serving.graphql.schema import executable


@strawberry.enum
class Shape(StrEnum):
    WIDE = "wide"
    TALL = "tall"


@strawberry.enum
class Size(Enum):
    SMALL = 1
    LARGE = 2


@strawberry.type
class Row:
    id: strawberry.ID
    number: int
    share: float
    is_on: bool
    text: str | None
    shape: Shape
    size: Size | None
    at: datetime
    words: list[str]

    @strawberry.field
    def length(self, times: int = 1) -> int:
        return len(self.text or "") * times

    @strawberry.field
    async def later(self) -> str:
        await asyncio.sleep(0)
        return f"later {self.id}"

    @strawberry.field
    def inner(self) -> list["Row"]:
        return [good(7), good(8)]


def good(number: int, /, **changes: Any) -> Row:
    """A valid row; ``changes`` may make it invalid."""
    values: dict[str, Any] = {
        "id": f"r{number}",
        "number": number,
        "share": number / 3,
        "is_on": number % 2 == 0,
        "text": None if number % 3 == 0 else "ünder" * number,
        "shape": Shape.TALL if number % 2 else Shape.WIDE,
        "size": [Size.SMALL, Size.LARGE, None][number % 3],
        "at": datetime(2026, 11, number + 1, tzinfo=UTC),
        "words": ["a", "b"],
    }
    return Row(**{**values, **changes})


@strawberry.type
class Query:
    @strawberry.field
    def rows(self) -> list[Row]:
        return [good(number) for number in range(5)]

    @strawberry.field
    def one(self) -> Row | None:
        return good(3)

    @strawberry.field
    def wrong(self) -> list[Row | None]:
        return [
            good(1),
            good(2, number=2**40),
            None,
            good(3, shape="round"),
            good(4, is_on=None),
            good(5, at="yesterday"),
            good(6, size="huge"),
            good(7, text=ValueError("no text")),
        ]


PLAIN = "id number share isOn text shape size at"
SCHEMA = executable(strawberry.Schema(Query))


def _executed(document: str, how: type[ExecutionContext]) -> ExecutionResult:
    async def run() -> ExecutionResult:
        parsed = parse(document)
        assert validate(SCHEMA, parsed) == []
        outcome = execute(SCHEMA, parsed, Query(), execution_context_class=how)
        return outcome if isinstance(outcome, ExecutionResult) else await outcome

    return asyncio.run(run())


@pytest.mark.parametrize(
    "document",
    [
        f"{{ rows {{ {PLAIN} }} }}",
        f"{{ rows {{ later {PLAIN} words length(times: 2) }} one {{ {PLAIN} }} }}",
        "{ rows { b: number a: number __typename ...F } } fragment F on Row { isOn id }",
        f"{{ one {{ inner {{ {PLAIN} inner {{ id later }} }} id }} }}",
        "{ rows { id @include(if: false) number @skip(if: true) shape } }",
        "{ rows { id @include(if: false) } }",
        *(f"{{ wrong {{ {field} }} }}" for field in PLAIN.split()),
        f"{{ wrong {{ {PLAIN} later }} }}",
    ],
)
def test_answers_are_those_of_graphql_core(document: str) -> None:
    ours, usual = (_executed(document, how) for how in (FastFieldContext, ExecutionContext))
    assert ours.formatted == usual.formatted
    assert list(_keys(ours.data)) == list(_keys(usual.data))


def test_plain_fields_are_not_left_to_graphql_core() -> None:
    met = set()

    class Watched(FastFieldContext):
        def execute_field(self, *arguments: Any) -> Any:
            met.add(arguments[2][0].name.value)
            return super().execute_field(*arguments)

    _executed(f"{{ rows {{ {PLAIN} length inner {{ {PLAIN} }} }} }}", Watched)
    # Strawberry serializes enumerations that are not strings.
    assert met == {"rows", "length", "inner", "size"}


def _keys(value: Any) -> Any:
    """The names in a response, in order."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _keys(inner)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)

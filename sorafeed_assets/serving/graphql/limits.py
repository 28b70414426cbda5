"""Limits of a document before it is validated, and of a query before it is executed."""

from collections.abc import Mapping, ValuesView
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from sorafeed_assets.serving.http.errors import QueryTooLargeError

MAX_TOKENS: Final = 2_000
MAX_DEPTH: Final = 12
MAX_ALIASES: Final = 30
# Validation compares selections in pairs: 300 take some 200 ms at worst.
MAX_SELECTIONS: Final = 300
MAX_VALUES: Final = 5_000
MAX_COST: Final = 100_000
# The assumed length of a list that has no `first`.
_USUAL_LENGTH: Final = 10
_LISTS: Final = frozenset({"blocks", "queue", "builds", "dryBlocks"})
# The lists of introspection, about as long as in this schema.
_META_LISTS: Final[Mapping[str, int]] = {
    "types": 60,
    "fields": 8,
    "args": 3,
    "inputFields": 4,
    "enumValues": 5,
    "interfaces": 1,
    "possibleTypes": 1,
    "directives": 5,
}
_META: Final = frozenset({"__schema", "__type"})
_PAGED: Final = frozenset(
    {
        *("blocklist", "deletions", "displays", "playlists", "posts", "terms"),
        *("plan", "plays", "preview"),
    }
)
_DEFAULT_PAGE: Final = 20

_NOTHING: Final = SelectionSetNode(selections=())


@dataclass(slots=True)
class _Weight:
    """The cost, depth and number of aliases of a selection."""

    cost: int = 0
    depth: int = 0
    aliases: int = 0

    def add(self, other: "_Weight", times: int = 1) -> None:
        self.cost += other.cost * times
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases


def check_selections(document: DocumentNode) -> None:
    """Refuse a document with too many selections or aliases, before it is validated.

    Raises:
        QueryTooLargeError: naming the limit.
    """
    selections = aliases = 0
    waiting: list[SelectionSetNode | None] = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, (OperationDefinitionNode, FragmentDefinitionNode))
    ]
    while waiting:
        for node in (waiting.pop() or _NOTHING).selections:
            selections += 1
            if isinstance(node, (FieldNode, InlineFragmentNode)):
                waiting.append(node.selection_set)
            aliases += isinstance(node, FieldNode) and node.alias is not None
    _check("number of selections", selections, MAX_SELECTIONS)
    _check("number of aliases", aliases, MAX_ALIASES)


def check_values(variables: Mapping[str, Any]) -> None:
    """Refuse variables with too many values, before they are coerced.

    Raises:
        QueryTooLargeError: naming the limit.
    """
    values = 0
    waiting: list[object] = [variables]
    while waiting:
        value = waiting.pop()
        inner = value.values() if isinstance(value, Mapping) else value
        if isinstance(inner, (list, ValuesView)):
            values += len(inner)
            _check("number of values in variables", values, MAX_VALUES)
            waiting.extend(inner)


def check_introspection(document: DocumentNode, operation: OperationDefinitionNode) -> bool:
    """Whether an operation asks for the schema alone; it then reads no data.

    Raises:
        QueryTooLargeError: it asks for the schema and for data.
    """
    fragments = _fragments(document)
    names: set[str] = set()
    seen: set[str] = set()
    waiting: list[SelectionSetNode] = [operation.selection_set]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                waiting.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                waiting.append(fragments[node.name.value].selection_set)
    if names.isdisjoint(_META):
        return False
    if not names <= {*_META, "__typename"}:
        raise QueryTooLargeError("the query asks for the schema and for data; send two queries")
    return True


def check_size(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> None:
    """Refuse an operation that is too deep, has too many aliases or costs too much.

    Fragments count wherever they are spread; the document was validated, so none is a cycle.

    Raises:
        QueryTooLargeError: naming the limit.
    """
    weight = _Weigher(_fragments(document), variables).weigh(operation.selection_set)
    _check("depth", weight.depth, MAX_DEPTH)
    _check("number of aliases", weight.aliases, MAX_ALIASES)
    _check("cost", weight.cost, MAX_COST)


def _check(name: str, value: int, most: int) -> None:
    if value > most:
        raise QueryTooLargeError(f"the query's {name} is {value}; at most {most} is allowed")


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }


class _Weigher:
    def __init__(
        self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self._fragments = fragments
        self._variables = variables
        self._weighed: dict[str, _Weight] = {}

    def weigh(self, selections: SelectionSetNode) -> _Weight:
        """The weight of a selection set."""
        weight = _Weight()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                weight.add(self._field(node))
            elif isinstance(node, InlineFragmentNode):
                weight.add(self.weigh(node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                weight.add(self._fragment(node.name.value))
        return weight

    def _fragment(self, name: str) -> _Weight:
        # Weighed once, because nested fragments would otherwise take exponential time.
        if name not in self._weighed:
            self._weighed[name] = self.weigh(self._fragments[name].selection_set)
        return self._weighed[name]

    def _field(self, node: FieldNode) -> _Weight:
        weight = _Weight(cost=1, depth=1, aliases=int(node.alias is not None))
        if node.selection_set is not None:
            inner = self.weigh(node.selection_set)
            weight.add(inner, self._length(node))
            # Introspection is deep by nature; its own rule limits how its lists nest.
            weight.depth = 1 if node.name.value in _META else 1 + inner.depth
        return weight

    def _length(self, node: FieldNode) -> int:
        if node.name.value in _LISTS:
            return _USUAL_LENGTH
        if node.name.value in _META_LISTS:
            return _META_LISTS[node.name.value]
        if node.name.value not in _PAGED:
            return 1
        for argument in node.arguments:
            if argument.name.value == "first":
                value: object = None
                if isinstance(argument.value, IntValueNode):
                    value = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    value = self._variables.get(argument.value.name.value)
                return max(1, value) if isinstance(value, int) else _DEFAULT_PAGE
        return _DEFAULT_PAGE

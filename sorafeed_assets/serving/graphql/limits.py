"""Limits of depth, aliases and cost of a query, checked before it is executed."""

from collections.abc import Mapping
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
MAX_COST: Final = 100_000
# The assumed length of a list that has no `first`.
_USUAL_LENGTH: Final = 10
_LISTS: Final = frozenset({"blocks", "queue", "builds", "dryBlocks"})
_PAGED: Final = frozenset({"displays", "playlists", "posts", "terms", "plan", "plays"})
_DEFAULT_PAGE: Final = 20


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


def check_size(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> None:
    """Refuse an operation that is too deep, has too many aliases or costs too much.

    Fragments count wherever they are spread; the document was validated, so none is a cycle.

    Raises:
        QueryTooLargeError: naming the limit.
    """
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    weight = _Weigher(fragments, variables).weigh(operation.selection_set)
    for name, value, most in (
        ("depth", weight.depth, MAX_DEPTH),
        ("number of aliases", weight.aliases, MAX_ALIASES),
        ("cost", weight.cost, MAX_COST),
    ):
        if value > most:
            raise QueryTooLargeError(f"the query's {name} is {value}; at most {most} is allowed")


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
        # Introspection is deep by nature, and reads no data.
        if node.selection_set is not None and not node.name.value.startswith("__"):
            inner = self.weigh(node.selection_set)
            weight.add(inner, self._length(node))
            weight.depth = 1 + inner.depth
        return weight

    def _length(self, node: FieldNode) -> int:
        if node.name.value in _LISTS:
            return _USUAL_LENGTH
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

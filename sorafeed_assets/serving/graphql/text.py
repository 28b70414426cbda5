"""Refusal of text and numbers that cannot be read or stored, for all arguments and variables."""

from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    ArgumentNode,
    DocumentNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableDefinitionNode,
    Visitor,
    visit,
)

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import check_storable

# No number of the schema has more; Python itself refuses to read very long ones.
_MOST_DIGITS: Final = 400


def check_document(document: DocumentNode) -> None:
    """Check the literals of a document, which need not be valid.

    Raises:
        InvalidInputError: naming the argument, for example ``blocks[1].search``.
    """
    visit(document, _TextCheck())


def check_variables(variables: Mapping[str, Any]) -> None:
    """Check the values of variables, which nest no deeper than their types.

    Raises:
        InvalidInputError: naming the variable, for example ``blocks[1].search``.
    """
    for name, value in variables.items():
        _check(value, name)


def _check(value: object, name: str) -> None:
    if isinstance(value, str):
        check_storable(value, name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, f"{name}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(item, f"{name}.{key}")


class _TextCheck(Visitor):
    def enter_argument(self, node: ArgumentNode, *_rest: object) -> None:
        self._check(node.value, node.name.value)

    def enter_variable_definition(self, node: VariableDefinitionNode, *_rest: object) -> None:
        if node.default_value is not None:
            self._check(node.default_value, node.variable.name.value)

    def _check(self, node: ValueNode, name: str) -> None:
        if isinstance(node, StringValueNode):
            check_storable(node.value, name)
        elif isinstance(node, (IntValueNode, FloatValueNode)):
            if len(node.value) > _MOST_DIGITS:
                raise InvalidInputError(
                    name, f"is a number of over {_MOST_DIGITS} digits; write a smaller one"
                )
        elif isinstance(node, ListValueNode):
            for number, item in enumerate(node.values):
                self._check(item, f"{name}[{number}]")
        elif isinstance(node, ObjectValueNode):
            for field in node.fields:
                self._check(field.value, f"{name}.{field.name.value}")

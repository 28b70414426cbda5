"""Fast fields: fields that are an attribute of their object, without arguments or resolver.

graphql-core spends ten times as long on the path, the arguments and the completion of such a field
as on reading it, and a page of displays has thousands. All other fields, and failing ones, are
left to graphql-core.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from graphql import (
    ExecutionContext,
    FieldNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    is_leaf_type,
)
from graphql.pyutils import Path
from strawberry.types.field import StrawberryField

_FAST: Final = "fast"
_FIELD: Final = "strawberry-definition"

_Fields = dict[str, list[FieldNode]]


class _FastField(NamedTuple):
    """The attribute of a field, its serializer, and whether it is non-null."""

    attribute: str
    serialize: Callable[[Any], Any]
    is_required: bool


def mark_fast_fields(schema: GraphQLSchema) -> None:
    """Find the fast fields of every type, once."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and kind.is_type_of is None:
            kind.extensions[_FAST] = dict(_fast_fields(kind))


def _fast_fields(kind: GraphQLObjectType) -> Iterable[tuple[str, _FastField]]:
    for name, field in kind.fields.items():
        defined = field.extensions.get(_FIELD)
        inner, is_required = _unwrapped(field.type)
        if isinstance(defined, StrawberryField) and defined.is_basic_field and is_leaf_type(inner):
            yield name, _FastField(defined.python_name, _serializer(inner), is_required)


def _serializer(leaf: GraphQLScalarType | GraphQLEnumType) -> Callable[[Any], Any]:
    if isinstance(leaf, GraphQLScalarType):
        return leaf.serialize
    # A member of a StrEnum equals its value.
    return {value.value: name for name, value in leaf.values.items()}.__getitem__


def _unwrapped(kind: Any) -> tuple[Any, bool]:
    return (kind.of_type, True) if isinstance(kind, GraphQLNonNull) else (kind, False)


class FastFieldContext(ExecutionContext):
    """Executes fast fields itself, and leaves the others to graphql-core."""

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        fields: _Fields,
    ) -> Awaitable[dict[str, Any]] | dict[str, Any]:
        """Execute the fields of an object."""
        known = _values(parent_type.extensions.get(_FAST, {}), source_value, fields)
        if len(known) == len(fields):
            return known
        rest = {name: nodes for name, nodes in fields.items() if name not in known}
        others = super().execute_fields(parent_type, source_value, path, rest)
        if isinstance(others, dict):
            return _in_order(fields, known, others)

        async def all_fields() -> dict[str, Any]:
            return _in_order(fields, known, await others)

        return all_fields()

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_nodes: list[FieldNode],
        info: GraphQLResolveInfo,
        path: Path,
        result: Any,
    ) -> Awaitable[list[Any]] | list[Any]:
        """Complete a list; in one step when only fast fields of its rows are selected."""
        kind, _ = _unwrapped(return_type.of_type)
        if isinstance(result, list) and isinstance(kind, GraphQLObjectType):
            fast: Mapping[str, _FastField] = kind.extensions.get(_FAST, {})
            fields = self.collect_subfields(kind, field_nodes)
            if all(nodes[0].name.value in fast for nodes in fields.values()):
                rows = [_values(fast, row, fields) for row in result]
                if all(len(row) == len(fields) for row in rows):
                    return rows
        return super().complete_list_value(return_type, field_nodes, info, path, result)


def _values(fast: Mapping[str, _FastField], source: Any, fields: _Fields) -> dict[str, Any]:
    """The values of the fast fields by name; those that fail are missing."""
    values = {}
    for name, nodes in fields.items():
        field = fast.get(nodes[0].name.value)
        if field is None:
            continue
        try:
            value = getattr(source, field.attribute)
            written = None if value is None else field.serialize(value)
        except Exception:  # noqa: BLE001, S112  # graphql-core runs into it again and reports it
            continue
        if written is not None or (value is None and not field.is_required):
            values[name] = written
    return values


def _in_order(
    fields: _Fields, known: Mapping[str, Any], others: Mapping[str, Any]
) -> dict[str, Any]:
    found = {**known, **others}
    return {name: found[name] for name in fields if name in found}

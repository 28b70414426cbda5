"""Lists of displays that PostgreSQL answers as JSON, in one statement.

A query of one list of displays that selects only fields that `storage.display_json`
has is not executed field by field: 50 displays with their blocks have thousands of fields. All
other queries are left to graphql-core; both ways give the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    located_error,
)
from graphql.execution.collect_fields import collect_fields, collect_sub_fields
from graphql.execution.values import get_argument_values

from sorafeed_assets.services.records import DisplayJson, Page
from sorafeed_assets.serving.graphql.connections import info_of
from sorafeed_assets.serving.graphql.context import Context
from sorafeed_assets.storage.cache.redis import COUNTS_TAG, DISPLAYS_TAG
from sorafeed_assets.storage.display_json import Field, has_field
from sorafeed_assets.storage.lists import DisplayOrder

_LIST: Final = "displays"
_FIELD: Final = "strawberry-definition"
_TYPE_NAME: Final = "__typename"


@dataclass(frozen=True, slots=True)
class Listing:
    """A requested list of displays.

    Attributes:
        key: the key of the list in the answer.
        nodes: the field nodes that request it.
        arguments: search, orderBy, first and after, with their defaults.
        parts: what is selected of the connection.
        shapes: the selections of a display; a field of ``parts`` has its index here as its name.
    """

    key: str
    nodes: list[FieldNode]
    arguments: Mapping[str, Any]
    parts: Sequence[Field]
    shapes: Sequence[tuple[Field, ...]]

    async def execute(self, context: Context) -> ExecutionResult:
        """Answer as graphql-core would; the rows of the list are encoded already."""
        try:
            data: dict[str, Any] = {self.key: await self._connection(context)}
        except Exception as error:  # noqa: BLE001  # as graphql-core: every error becomes the answer
            return ExecutionResult(None, [located_error(error, self.nodes, [self.key])])
        return ExecutionResult(data)

    async def _connection(self, context: Context) -> dict[str, Any]:
        context.principal.must_read()
        context.tags |= {DISPLAYS_TAG, COUNTS_TAG}
        server, asked = context.server, self.arguments
        search = asked.get("search")
        order, first, after = DisplayOrder(asked["orderBy"]), asked["first"], asked.get("after")
        page = await server.run(
            lambda: context.reads.display_json_page(self.shapes, order, search, first, after)
        )
        for _, display in page.rows:
            context.touch(display.id)
        found: dict[str, Any] = {}
        for part in self.parts:
            if part.name == "totalCount":
                is_searched = bool(search and search.strip())
                count = None if is_searched else await server.run(context.reads.count_displays)
                found[part.key] = count
            else:
                found[part.key] = _part(part, page)
        return found


def _part(part: Field, page: Page[DisplayJson]) -> Any:
    if part.name == _TYPE_NAME:
        return "DisplayConnection"
    if part.name == "pageInfo":
        info = info_of(page)
        values = {
            "hasNextPage": info.has_next_page,
            "hasPreviousPage": info.has_previous_page,
            "startCursor": info.start_cursor,
            "endCursor": info.end_cursor,
            _TYPE_NAME: "PageInfo",
        }
        return {field.key: values[field.name] for field in part.fields}
    if part.name == "nodes":
        (node,) = part.fields
        return [_node(node, display) for _, display in page.rows]
    return [
        {
            field.key: cursor
            if field.name == "cursor"
            else "DisplayEdge"
            if field.name == _TYPE_NAME
            else _node(field, display)
            for field in part.fields
        }
        for cursor, display in page.rows
    ]


def _node(field: Field, display: DisplayJson) -> orjson.Fragment:
    return orjson.Fragment(display.texts[int(field.name)])


class _OtherError(Exception):
    """The query selects something else too."""


def listing_of(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> Listing | None:
    """The list that a valid query requests; None when it must be executed field by field.

    ``variables`` are coerced.
    """
    try:
        return _Reader(schema, document, dict(variables)).read(operation)
    except (_OtherError, GraphQLError):
        return None


class _Reader:
    """Reads selections as graphql-core does: fragments, directives and aliases included."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]
    ) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        self._shapes: list[tuple[Field, ...]] = []

    def read(self, operation: OperationDefinitionNode) -> Listing:
        query = self._schema.query_type
        if query is None:
            raise _OtherError
        fields = collect_fields(
            self._schema, self._fragments, self._variables, query, operation.selection_set
        )
        if len(fields) != 1:
            raise _OtherError
        [(key, nodes)] = fields.items()
        if nodes[0].name.value != _LIST:
            raise _OtherError
        definition = query.fields[_LIST]
        arguments = get_argument_values(definition, nodes[0], self._variables)
        if arguments.get("tag") is not None:
            raise _OtherError
        parts = [
            self._part(Field(name, part[0].name.value), _inner(query, nodes), part)
            for name, part in self._selected(_inner(query, nodes), nodes).items()
        ]
        return Listing(key, nodes, arguments, parts, self._shapes)

    def _selected(
        self, kind: GraphQLObjectType, nodes: list[FieldNode]
    ) -> dict[str, list[FieldNode]]:
        found = collect_sub_fields(self._schema, self._fragments, self._variables, kind, nodes)
        if not found:
            raise _OtherError
        return found

    def _part(self, part: Field, kind: GraphQLObjectType, nodes: list[FieldNode]) -> Field:
        """A field of the connection, with what is selected of it."""
        if part.name in {"totalCount", _TYPE_NAME}:
            return part
        inner = _inner(kind, nodes)
        if part.name == "nodes":
            return Field(part.key, part.name, (self._shape("", inner, nodes),))
        fields = [
            self._shape(key, _inner(inner, found), found)
            if found[0].name.value == "node"
            else Field(key, found[0].name.value)
            for key, found in self._selected(inner, nodes).items()
        ]
        return Field(part.key, part.name, tuple(fields))

    def _shape(self, key: str, kind: GraphQLObjectType, nodes: list[FieldNode]) -> Field:
        """Add a display's selection to the shapes; the returned field has its index as name."""
        self._shapes.append(self._fields((), kind, nodes))
        return Field(key, str(len(self._shapes) - 1))

    def _fields(
        self, path: tuple[str, ...], kind: GraphQLObjectType, nodes: list[FieldNode]
    ) -> tuple[Field, ...]:
        fields = []
        for key, found in self._selected(kind, nodes).items():
            name = found[0].name.value
            if name != _TYPE_NAME:
                name = kind.fields[name].extensions[_FIELD].python_name
            if not has_field(path, name):
                raise _OtherError
            inner = self._fields((*path, name), _inner(kind, found), found) if _has(found) else ()
            fields.append(Field(key, name, inner))
        return tuple(fields)


def _has(nodes: Sequence[FieldNode]) -> bool:
    return nodes[0].selection_set is not None


def _inner(kind: GraphQLObjectType, nodes: Sequence[FieldNode]) -> GraphQLObjectType:
    """The type of the objects that a field has."""
    inner = get_named_type(kind.fields[nodes[0].name.value].type)
    if not isinstance(inner, GraphQLObjectType):
        raise _OtherError
    return inner

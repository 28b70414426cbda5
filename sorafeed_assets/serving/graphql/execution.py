"""Parsing, validating and executing one GraphQL request, and formatting its errors.

Strawberry's own `execute` does all of it in one call. Here the kind, the cost and the
text of a request are checked before the response cache is read, and parsed documents
are cached up to a size in bytes.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from cachetools import LRUCache
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Token,
    execute,
    get_operation_ast,
    get_variable_values,
    parse,
    validate,
)

from sorafeed_assets.domain.errors import (
    InvalidInputError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.serving.graphql.context import Context, stored_but
from sorafeed_assets.serving.graphql.fast_fields import FastFieldContext
from sorafeed_assets.serving.graphql.limits import MAX_TOKENS, check_size
from sorafeed_assets.serving.graphql.listing import listing_of
from sorafeed_assets.serving.graphql.text import check_document, check_variables
from sorafeed_assets.serving.http.errors import (
    INTERNAL,
    QueryTooLargeError,
    internal_message,
    kind_of,
)

# For queries only: a mutation would still be stored after a time-out.
_TIME_SECONDS: Final = 15.0
# The most parsed documents in the cache, and their size in memory: some 600 bytes a token.
_MOST_DOCUMENTS: Final = 500
_MOST_DOCUMENT_BYTES: Final = 32_000_000
_TOKEN_BYTES: Final = 600
_MOST_ERRORS: Final = 10
_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters of a GraphQL request."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid document, the operation to execute, and its variables, coerced."""

    document: DocumentNode
    operation: OperationDefinitionNode
    variables: Mapping[str, Any]

    @property
    def is_query(self) -> bool:
        """Whether the operation is a query."""
        return self.operation.operation is OperationType.QUERY


@dataclass(frozen=True, slots=True)
class Executed:
    """The outcome of an operation.

    Attributes:
        body: the response; it has no "data" when nothing was executed.
        failures: the exceptions that were raised during execution.
        has_changed: whether a change is stored.
    """

    body: dict[str, Any]
    failures: tuple[BaseException, ...] = ()
    has_changed: bool = False


class NotExecutedError(SorafeedError):
    """A request was refused before it was executed; ``errors`` say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class Executor:
    """Parses, validates and executes requests; caches parsed documents."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._documents: LRUCache[str, DocumentNode] = LRUCache(_MOST_DOCUMENT_BYTES, _size)

    @property
    def document_bytes(self) -> int:
        """The estimated size of the cached documents."""
        return int(self._documents.currsize)

    def prepare(self, request: Request) -> Prepared:
        """Parse and check a request.

        Raises:
            NotExecutedError: the document is invalid or too large, or names no operation.
        """
        document = self._document(request.query)
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            named = request.operation_name
            raise NotExecutedError([
                GraphQLError(
                    f"the document has no operation {named!r}" if named
                    else "the document has several operations; name one as operationName"
                )
            ])  # fmt: skip
        # Coerced as the executor does: with defaults, and 100.0 as 100.
        values = get_variable_values(
            self._schema, operation.variable_definitions, dict(request.variables)
        )
        if isinstance(values, list):
            raise NotExecutedError(values)
        try:
            check_variables({name: request.variables.get(name) for name in values})
            check_size(document, operation, values)
        except (QueryTooLargeError, InvalidInputError) as error:
            raise NotExecutedError([GraphQLError(str(error), original_error=error)]) from error
        return Prepared(document, operation, values)

    def _document(self, query: str) -> DocumentNode:
        known = self._documents.get(query)
        if known is not None:
            return known
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise NotExecutedError([error]) from error
        except RecursionError as error:
            raise NotExecutedError([GraphQLError("the query nests too deeply")]) from error
        problems = validate(self._schema, document, max_errors=_MOST_ERRORS)
        if problems:
            raise NotExecutedError(problems)
        try:
            check_document(document)
        except InvalidInputError as error:
            raise NotExecutedError([GraphQLError(str(error), original_error=error)]) from error
        if _size(document) <= self._documents.maxsize:
            self._documents[query] = document
        return document

    async def execute(
        self, prepared: Prepared, request: Request, context: Context, request_id: str
    ) -> Executed:
        """Execute an operation; a query has a time limit of 15 s, a mutation has none."""
        try:
            async with asyncio.timeout(_TIME_SECONDS if prepared.is_query else None):
                result = await self._result(prepared, request, context)
        except TimeoutError:
            late = UnavailableError(f"the query took longer than {_TIME_SECONDS:g} s; ask for less")
            error = GraphQLError(str(late), original_error=late)
            return Executed(
                {"data": None, "errors": [self.format_error(error, request_id)]}, (late,)
            )
        errors = result.errors or []
        if not prepared.is_query:
            errors = [_of_a_change(error) for error in errors]
        body: dict[str, Any] = {}
        if errors:
            body["errors"] = [self.format_error(error, request_id) for error in errors]
            for shown in body["errors"]:
                context.server.metrics.errors.labels(shown["extensions"]["code"]).inc()
        # Errors without a path: the variables were refused, and nothing was executed.
        if result.data is not None or any(error.path for error in errors):
            body["data"] = result.data
        failures = tuple(error.original_error or error for error in errors)
        return Executed(body, failures, context.has_changed)

    async def _result(
        self, prepared: Prepared, request: Request, context: Context
    ) -> ExecutionResult:
        if prepared.is_query:
            listing = listing_of(
                self._schema, prepared.document, prepared.operation, prepared.variables
            )
            if listing is not None:
                return await listing.execute(context)
        outcome = execute(
            self._schema,
            prepared.document,
            context_value=context,
            variable_values=dict(request.variables),
            operation_name=request.operation_name,
            execution_context_class=FastFieldContext,
        )
        return outcome if isinstance(outcome, ExecutionResult) else await outcome

    @staticmethod
    def format_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
        """Format an error with its code; the details of an unexpected one are only logged."""
        shown: dict[str, Any] = {"message": error.message}
        if error.locations:
            shown["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
        if error.path:
            shown["path"] = error.path
        code = "BAD_REQUEST"
        extensions: dict[str, Any] = {"requestId": request_id}
        original = error.original_error
        if isinstance(original, SorafeedError):
            code = kind_of(original).code
            if isinstance(original, InvalidInputError):
                extensions["field"] = original.field
        elif original is not None and not isinstance(original, GraphQLError):
            _log.error("failed", request_id=request_id, path=error.path, exc_info=original)
            code = INTERNAL.code
            shown["message"] = internal_message(request_id)
        shown["extensions"] = {"code": code, **extensions}
        return shown


def _size(document: DocumentNode) -> int:
    """The estimated size of a document, at least its share of the cache."""
    size = _MOST_DOCUMENT_BYTES // _MOST_DOCUMENTS
    if document.loc is None:
        return size
    tokens = 0
    token: Token | None = document.loc.start_token
    while token is not None:
        tokens += 1
        token = token.next
    return max(size, sys.getsizeof(document.loc.source.body) + tokens * _TOKEN_BYTES)


def _of_a_change(error: GraphQLError) -> GraphQLError:
    """Add to an error of a read after a change that the change is stored."""
    original = error.original_error
    if len(error.path or ()) < 2 or not isinstance(original, UnavailableError):
        return error
    told = stored_but(original)
    return GraphQLError(
        str(told), error.nodes, error.source, error.positions, error.path, original_error=told
    )


def encoded(value: object) -> bytes:
    """Encode as JSON; a lone surrogate, which JSON can escape, becomes "?"."""
    try:
        return orjson.dumps(value)
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")

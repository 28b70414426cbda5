"""Checking and executing one GraphQL request, and formatting its errors.

Strawberry's own `execute` does all of it in one call. Here the kind, the cost and the
text of a request are checked before the response cache is read.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    get_variable_values,
)

from sorafeed_assets.domain.errors import (
    InvalidInputError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.wording import in_words
from sorafeed_assets.serving.graphql.context import Context, stored_but
from sorafeed_assets.serving.graphql.documents import Documents, NotExecutedError
from sorafeed_assets.serving.graphql.fast_fields import FastFieldContext
from sorafeed_assets.serving.graphql.limits import check_introspection, check_size, check_values
from sorafeed_assets.serving.graphql.listing import listing_of
from sorafeed_assets.serving.graphql.text import check_variables
from sorafeed_assets.serving.http.errors import (
    INTERNAL,
    QueryTooLargeError,
    internal_message,
    kind_of,
)

# For queries only: a mutation would still be stored after a time-out.
_TIME_SECONDS: Final = 15.0
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
    is_introspection: bool

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


class Executor:
    """Prepares and executes requests."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.documents = Documents(schema)

    def prepare(self, request: Request, document: DocumentNode | None = None) -> Prepared:
        """Check a request; ``document`` is its document if that is valid already.

        Raises:
            NotExecutedError: the document is invalid or too large, or names no operation.
        """
        if document is None:
            document = self.documents.get(request.query)
        operation = get_operation_ast(document, request.operation_name)
        if operation is None:
            named = request.operation_name
            raise NotExecutedError([
                GraphQLError(
                    f"the document has no operation {named!r}" if named
                    else "the document has several operations; name one as operationName"
                )
            ])  # fmt: skip
        try:
            check_values(request.variables)
        except QueryTooLargeError as error:
            raise NotExecutedError([GraphQLError(str(error), original_error=error)]) from error
        # Coerced as the executor does: with defaults, and 100.0 as 100.
        values = get_variable_values(
            self._schema,
            operation.variable_definitions,
            dict(request.variables),
            max_errors=_MOST_ERRORS,
        )
        if isinstance(values, list):
            raise NotExecutedError(values)
        try:
            check_variables({name: request.variables.get(name) for name in values})
            is_introspection = check_introspection(document, operation)
            check_size(document, operation, values)
        except (QueryTooLargeError, InvalidInputError) as error:
            raise NotExecutedError([GraphQLError(str(error), original_error=error)]) from error
        return Prepared(document, operation, values, is_introspection)

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

        def begin() -> Awaitable[ExecutionResult] | ExecutionResult:
            return execute(
                self._schema,
                prepared.document,
                context_value=context,
                variable_values=dict(request.variables),
                operation_name=request.operation_name,
                execution_context_class=FastFieldContext,
            )

        # Introspection reads no data and awaits nothing, but may take long.
        outcome = await context.server.compute(begin) if prepared.is_introspection else begin()
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
                extensions["problems"] = [
                    {"field": each.field, "message": in_words(each)} for each in original.errors
                ]
        elif original is not None and not isinstance(original, GraphQLError):
            _log.error("failed", request_id=request_id, path=error.path, exc_info=original)
            code = INTERNAL.code
            shown["message"] = internal_message(request_id)
        shown["extensions"] = {"code": code, **extensions}
        return shown


def _of_a_change(error: GraphQLError) -> GraphQLError:
    """Add to an error of a read after a change that the change is stored."""
    original = error.original_error
    if len(error.path or ()) < 2 or not isinstance(original, UnavailableError):
        return error
    told = stored_but(original)
    return GraphQLError(
        str(told), error.nodes, error.source, error.positions, error.path, original_error=told
    )


def digest(value: object) -> str:
    """A digest of JSON that differs whenever the value does, also in a lone surrogate."""
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode("ascii")).hexdigest()


def encoded(value: object) -> bytes:
    """Encode as JSON; a lone surrogate, which JSON can escape, becomes "?"."""
    try:
        return orjson.dumps(value)
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")

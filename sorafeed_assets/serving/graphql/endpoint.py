"""The endpoint `/graphql`: https://graphql.github.io/graphql-over-http/draft/."""

import asyncio
import json
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from graphql import FieldNode, GraphQLError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.graphql.context import Context
from sorafeed_assets.serving.graphql.documents import NotExecutedError
from sorafeed_assets.serving.graphql.execution import (
    Executor,
    Prepared,
    Request,
    digest,
    encoded,
)
from sorafeed_assets.serving.graphql.idempotency import (
    HEADER,
    check_key,
    execute_once,
)
from sorafeed_assets.serving.graphql.schema import build_schema, executable
from sorafeed_assets.serving.http.errors import headers_of, kind_of
from sorafeed_assets.serving.state import CachedResponse, ServerState

GRAPHQL_TYPE: Final = "application/graphql-response+json"
JSON_TYPE: Final = "application/json"
_LISTS: Final = frozenset({"displays", "posts", "terms"})

_Result = TypeVar("_Result")


class BadRequestError(Exception):
    """An HTTP request is not a GraphQL request."""

    def __init__(
        self, problem: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.headers = dict(headers or {})


class Endpoint:
    """`/graphql`: queries by GET or POST, from the response cache; mutations by POST."""

    def __init__(self) -> None:
        self._executor = Executor(executable(build_schema()))
        self._changes: set[asyncio.Task[Any]] = set()

    async def answer(self, request: HttpRequest) -> Response:
        """Answer one request."""
        server: ServerState = request.app.state.server
        principal: Principal = request.state.principal
        request_id: str = request.state.request_id
        media = _media_type(request.headers.get("accept"))
        if media is None:
            return _problem(JSON_TYPE, 406, f"accept {GRAPHQL_TYPE} or {JSON_TYPE}", request_id)
        try:
            asked = await _request(request)
        except BadRequestError as error:
            return _problem(media, error.status, str(error), request_id, error.headers)
        try:
            document = await self._executor.documents.load(
                asked.query, principal.token.id, server.compute
            )
            prepared = self._executor.prepare(asked, document)
        except NotExecutedError as error:
            shown = [self._executor.format_error(each, request_id) for each in error.errors]
            return _response(media, _status(media, {}), {"errors": shown})
        server.metrics.operations.labels(prepared.operation.operation.value).inc()
        if not prepared.is_query:
            if request.method != "POST":
                problem = "a mutation has to be sent by POST"
                return _problem(media, 405, problem, request_id, {"allow": "POST"})
            return await self._change(request, media, asked, prepared)

        # A query may store too: a large count that an admin asks for is tracked.
        may_store = request.method == "POST" and principal.token.role is Role.ADMIN

        replica = server.replica.engine_for(request) if _is_list(prepared) else None
        if replica is not None:
            context = Context(server, principal, set(), may_store=may_store, replica=replica)
            body = (await self._executor.execute(prepared, asked, context, request_id)).body
            if "errors" not in body:
                # Not kept: another client may have to see more.
                return _response(media, 200, body)

        return await self._read(request, media, asked, prepared, may_store=may_store)

    async def _read(
        self,
        request: HttpRequest,
        media: str,
        asked: Request,
        prepared: Prepared,
        *,
        may_store: bool,
    ) -> Response:
        """Answer a query from the cache or the primary."""
        server: ServerState = request.app.state.server
        principal: Principal = request.state.principal
        request_id: str = request.state.request_id

        async def compute(tags: set[str]) -> CachedResponse:
            context = Context(server, principal, tags, may_store=may_store)
            body = (await self._executor.execute(prepared, asked, context, request_id)).body
            if "errors" in body:
                # Errors name their request, so they are not cached.
                raise _FailedError(body)
            return CachedResponse(encoded(body))

        try:
            answer = await server.responses.get(
                _key(principal, asked, may_store=may_store), compute
            )
        except _FailedError as failed:
            body = failed.body
            for shown in body["errors"]:
                shown["extensions"]["requestId"] = request_id
            return _response(media, _status(media, body), body)
        return Response(answer.body, media_type=f"{media}; charset=utf-8")

    async def _change(
        self, request: HttpRequest, media: str, asked: Request, prepared: Prepared
    ) -> Response:
        server: ServerState = request.app.state.server
        principal: Principal = request.state.principal
        request_id: str = request.state.request_id
        context = Context(server, principal, set(), may_store=True)
        key = request.headers.get(HEADER)
        execute = partial(self._executor.execute, prepared, asked, context, request_id)
        if key is None:
            body = (await self._to_its_end(execute())).body
            answer = _response(media, _status(media, body), body)
            await server.replica.note_write(request, answer)
            return answer
        try:
            check_key(key)
            answered = await self._to_its_end(execute_once(server, principal, key, asked, execute))
        except SorafeedError as error:
            shown = self._executor.format_error(
                GraphQLError(str(error), original_error=error), request_id
            )
            return _response(media, kind_of(error).status, {"errors": [shown]}, headers_of(error))
        body = json.loads(answered.body)
        headers = {"idempotent-replayed": "true"} if answered.is_replayed else {}
        answer = _response(media, _status(media, body), body, headers)
        await server.replica.note_write(request, answer)
        return answer

    async def _to_its_end(self, change: Coroutine[Any, Any, _Result]) -> _Result:
        """Await a change; a client that disconnects does not stop it halfway."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)


class _FailedError(Exception):
    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.body = body


def _status(media: str, body: Mapping[str, Any]) -> int:
    """The HTTP status; for plain JSON the specification demands 200 for every valid request."""
    return 200 if "data" in body or media == JSON_TYPE else 400


def _is_list(prepared: Prepared) -> bool:
    """Whether a query asks for nothing but lists, which a replica may answer."""
    fields = prepared.operation.selection_set.selections
    return all(isinstance(field, FieldNode) and field.name.value in _LISTS for field in fields)


def _key(principal: Principal, asked: Request, *, may_store: bool) -> str:
    parts = [principal.scope, may_store, asked.query, asked.operation_name, asked.variables]
    return digest(parts)


def _media_type(accept: str | None) -> str | None:
    """The media type of the answer by the Accept header; None when none is acceptable."""
    if accept is None or not accept.strip():
        return JSON_TYPE
    chosen: tuple[float, str] | None = None
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        charset = "utf-8"
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
            elif key == "charset":
                charset = value.strip('"')
        media = JSON_TYPE if name in {"*/*", "application/*"} else name
        is_ours = media in {GRAPHQL_TYPE, JSON_TYPE} and charset == "utf-8"
        if is_ours and weight > 0 and (chosen is None or weight > chosen[0]):
            chosen = (weight, media)
    return chosen and chosen[1]


async def _request(request: HttpRequest) -> Request:
    if request.method != "POST":
        parameters: dict[str, Any] = dict(request.query_params)
        for name in ("variables", "extensions"):
            if parameters.get(name):
                parameters[name] = _decoded(parameters[name], f"the parameter {name} is not JSON")
            else:
                parameters.pop(name, None)
        return _checked(parameters)
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON_TYPE:
        raise BadRequestError(f"send the request as {JSON_TYPE}", 415)
    charset = rest.lower().replace(" ", "").replace('"', "").partition("charset=")[2]
    if charset not in {"", "utf-8", "utf8"}:
        raise BadRequestError(f"the charset is {charset}; send utf-8", 415)
    body = _decoded(await request.body(), "the body is not JSON")
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    return _checked(body)


def _decoded(text: str | bytes, problem: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequestError(problem) from None


def _checked(parameters: Mapping[str, Any]) -> Request:
    query, name = parameters.get("query"), parameters.get("operationName")
    variables, extensions = parameters.get("variables"), parameters.get("extensions")
    if not isinstance(query, str) or not query:
        raise BadRequestError("the parameter query is missing; it must be a document")
    if name is not None and not isinstance(name, str):
        raise BadRequestError("the parameter operationName must be a string")
    for key, value in (("variables", variables), ("extensions", extensions)):
        if value is not None and not isinstance(value, dict):
            raise BadRequestError(f"the parameter {key} must be an object")
    return Request(query, variables or {}, name or None)


def _problem(
    media: str,
    status: int,
    problem: str,
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    extensions = {"code": "BAD_REQUEST", "requestId": request_id}
    return _response(
        media, status, {"errors": [{"message": problem, "extensions": extensions}]}, headers
    )


def _response(
    media: str, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    return Response(encoded(body), status, dict(headers or {}), f"{media}; charset=utf-8")

"""GraphQL documents: parsed, limited, validated, and cached; refused ones are cached too.

Validation takes long for some documents that any token may send, so it runs in a thread, after
cheap limits. The cost of a valid document is in `limits`.
"""

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    Token,
    parse,
    validate,
)

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.serving.graphql.limits import MAX_TOKENS, check_selections
from sorafeed_assets.serving.graphql.text import check_document
from sorafeed_assets.serving.http.errors import QueryTooLargeError, TooManyCallsError

# The most parsed documents in the cache, and their size in memory: some 600 bytes a token.
_MOST_DOCUMENTS: Final = 500
_MOST_DOCUMENT_BYTES: Final = 32_000_000
_TOKEN_BYTES: Final = 600
_MOST_REFUSED: Final = 1_000
_MOST_ERRORS: Final = 10
_MOST_SHOWN: Final = 1_000
_MOST_LOADING: Final = 8

Run = Callable[[Callable[[], DocumentNode]], Awaitable[DocumentNode]]


class NotExecutedError(SorafeedError):
    """A request was refused before it was executed; ``errors`` say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


class Documents:
    """The documents of one schema, for one event loop."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._valid: LRUCache[str, DocumentNode] = LRUCache(_MOST_DOCUMENT_BYTES, _size)
        self._refused: LRUCache[bytes, list[GraphQLError]] = LRUCache(_MOST_REFUSED)
        self._loading: dict[str, asyncio.Task[DocumentNode]] = {}
        self._by_caller: dict[object, int] = {}

    @property
    def size(self) -> int:
        """The estimated bytes of the cached documents."""
        return int(self._valid.currsize)

    def get(self, query: str) -> DocumentNode:
        """Return a valid document, from the cache or validated here.

        Raises:
            NotExecutedError: the document is invalid or too large.
        """
        known = self._known(query)
        if known is not None:
            return known
        try:
            return self._store(query, self._read(query))
        except NotExecutedError as error:
            self._refuse(query, error)
            raise

    async def load(self, query: str, caller: object, run: Run) -> DocumentNode:
        """Return a valid document, from the cache or validated by ``run``, once for all callers.

        Raises:
            NotExecutedError: the document is invalid or too large.
            TooManyCallsError: the caller has too many documents validated already.
        """
        known = self._known(query)
        if known is not None:
            return known
        task = self._loading.get(query)
        if task is None:
            if self._by_caller.get(caller, 0) >= _MOST_LOADING:
                raise TooManyCallsError(
                    f"more than {_MOST_LOADING} new documents at once; use variables instead"
                )
            self._by_caller[caller] = self._by_caller.get(caller, 0) + 1
            task = asyncio.create_task(self._load(query, caller, run))
            self._loading[query] = task
            # All clients that wait for it may have disconnected.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _load(self, query: str, caller: object, run: Run) -> DocumentNode:
        try:
            document = await run(lambda: self._read(query))
        except NotExecutedError as error:
            self._refuse(query, error)
            raise
        else:
            return self._store(query, document)
        finally:
            del self._loading[query]
            self._by_caller[caller] -= 1
            if not self._by_caller[caller]:
                del self._by_caller[caller]

    def _known(self, query: str) -> DocumentNode | None:
        known = self._valid.get(query)
        if known is not None:
            return known
        refused = self._refused.get(_digest(query))
        if refused is not None:
            raise NotExecutedError(refused)
        return None

    def _store(self, query: str, document: DocumentNode) -> DocumentNode:
        if _size(document) <= self._valid.maxsize:
            self._valid[query] = document
        return document

    def _refuse(self, query: str, error: NotExecutedError) -> None:
        self._refused[_digest(query)] = [_brief(each) for each in error.errors]

    def _read(self, query: str) -> DocumentNode:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
            check_selections(document)
            check_document(document)
            problems = validate(self._schema, document, max_errors=_MOST_ERRORS)
            if problems:
                raise NotExecutedError(problems)
        except GraphQLError as error:
            raise NotExecutedError([error]) from error
        except RecursionError as error:
            raise NotExecutedError([GraphQLError("the query nests too deeply")]) from error
        except (QueryTooLargeError, InvalidInputError) as error:
            raise NotExecutedError([GraphQLError(str(error), original_error=error)]) from error
        return document


def _digest(query: str) -> bytes:
    # A document may have lone surrogates, which UTF-8 has no bytes for.
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).digest()


def _brief(error: GraphQLError) -> GraphQLError:
    """A copy of an error that does not keep its document in memory."""
    original = error.original_error if isinstance(error.original_error, SorafeedError) else None
    brief = GraphQLError(error.message[:_MOST_SHOWN], original_error=original)
    brief.locations = error.locations
    return brief


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

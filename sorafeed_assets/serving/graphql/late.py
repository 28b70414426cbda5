"""`/graphql` for a process that has just started.

Strawberry and the schema take longer to import and build than all that players need, so a process
answers players first. Nothing here imports them at its top.
"""

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from sorafeed_assets.serving.graphql.endpoint import Endpoint


class LateEndpoint:
    """The endpoint, which is imported and built once: by its first request, or by `load`."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[Endpoint] | None = None

    async def load(self) -> "Endpoint":
        """Import and build the endpoint in a thread, so that other requests are answered."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(_build))
        # A client that disconnects does not stop it.
        return await asyncio.shield(self._loading)

    async def answer(self, request: Request) -> Response:
        """Answer one request; the first ones wait until the endpoint is built."""
        return await (await self.load()).answer(request)


def _build() -> "Endpoint":
    from sorafeed_assets.serving.graphql.endpoint import Endpoint

    return Endpoint()

"""Reading from a replica: which requests it may answer, so that clients see what they wrote."""

from collections.abc import Awaitable, Callable

from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.serving.live.own_writes import BEYOND, OwnWrites
from sorafeed_assets.storage.postgres.replica import Replica, written_position


class ReplicaReads:
    """The replica for lists and exports; without one, the primary answers everything.

    Args:
        primary: the database that is written.
        replica: how far the replica has come, if there is one.
        run: runs blocking work in a thread.
    """

    def __init__(
        self,
        primary: Engine,
        replica: Replica | None,
        run: Callable[[Callable[[], int | None]], Awaitable[int | None]],
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._run = run
        self._own_writes = OwnWrites()

    @property
    def lag(self) -> float | None:
        """Seconds for which the replica may lack what was committed; None without one."""
        return None if self._replica is None else self._replica.lag

    def engine_for(self, request: Request) -> Engine | None:
        """The replica, if it may answer a request that reads; None for the primary."""
        if self._replica is None:
            return None
        after = self._own_writes.after(request, request.state.principal.token.id)
        return self._replica.engine if self._replica.may_answer(after) else None

    async def note_write(self, request: Request, response: Response) -> None:
        """Let the client of a change see it in what it reads next, also from a replica."""
        if self._replica is None:
            return
        try:
            position = await self._run(self._position)
        except UnavailableError:
            position = None
        # The change is stored; if it is unknown where, the primary answers for a while.
        at = BEYOND if position is None else position
        self._own_writes.note(response, request.state.principal.token.id, at)

    def _position(self) -> int:
        with self._primary.connect() as connection:
            return written_position(connection)

    async def look(self) -> None:
        """Compare the replica with the primary."""
        if self._replica is not None:
            await self._run(self._replica.look)

    def close(self) -> None:
        """Close the connections to the replica."""
        if self._replica is not None:
            self._replica.engine.dispose()

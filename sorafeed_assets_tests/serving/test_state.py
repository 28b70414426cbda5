"""What the state of a process refuses when the process is behind."""

import asyncio
from threading import Event

import pytest

from sorafeed_assets.domain.errors import BusyError
from sorafeed_assets.serving.state import _THREADS, ServerState
from sorafeed_assets.settings import Settings


def test_a_change_that_waited_too_long_is_not_made(settings: Settings) -> None:
    made: list[str] = []

    async def check() -> None:
        state = ServerState(settings)
        go_on = Event()
        busy = [asyncio.create_task(state.change(go_on.wait)) for _ in range(_THREADS)]
        given_up = asyncio.create_task(
            state.change(lambda: made.append("given up"), begins_within=0.0)
        )
        in_time = asyncio.create_task(
            state.change(lambda: made.append("in time"), begins_within=600.0)
        )
        await asyncio.sleep(0)  # all of them wait for a thread now
        go_on.set()
        await asyncio.gather(*busy, in_time)
        with pytest.raises(BusyError, match="nothing was changed; try again"):
            await given_up
        await state.close()

    asyncio.run(check())
    assert made == ["in time"]

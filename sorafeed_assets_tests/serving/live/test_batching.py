"""Concurrent changes are made in batches, and each caller gets its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from sorafeed_assets.domain.errors import BusyError
from sorafeed_assets.serving.live.batching import BatchedChanges


class Doubling:
    """Doubles numbers, a batch at a time, when its gates are open."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[int] = []
        self.gate = asyncio.Event()
        self.last_gate = asyncio.Event()
        self.last_gate.set()

    async def store(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        await self.gate.wait()
        if 13 in numbers:
            raise ValueError("unlucky")
        return numbers

    async def finish(self, numbers: list[int]) -> list[int | None]:
        await self.last_gate.wait()
        if 31 in numbers:
            raise ValueError("unlucky")
        return [None if number == 7 else 2 * number for number in numbers]

    def changes(
        self, most: int = 10, pauses: Sequence[float] = (), begins_within: float | None = None
    ) -> BatchedChanges[int, list[int], int]:
        return BatchedChanges(
            self.store,
            self.finish,
            self.otherwise,
            most=most,
            pauses=pauses,
            begins_within=begins_within,
        )

    async def otherwise(self, number: int) -> int:
        if number in self.alone:
            raise ValueError("once only")
        self.alone.append(number)
        return 100 * number


def test_changes_that_wait_for_one_are_made_together() -> None:
    async def work() -> None:
        doubling = Doubling()
        changes = doubling.changes(most=3)
        first = asyncio.create_task(changes.make(1))
        await asyncio.sleep(0.01)
        # A single change does not wait for others to arrive.
        assert doubling.batches == [[1]]
        others = [asyncio.create_task(changes.make(number)) for number in range(2, 7)]
        await asyncio.sleep(0.01)
        assert doubling.batches == [[1]]
        doubling.gate.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
        assert doubling.batches == [[1], [2, 3, 4], [5, 6]]

    asyncio.run(work())


def test_an_error_is_raised_in_its_batch_alone() -> None:
    async def work() -> None:
        doubling = Doubling()
        doubling.gate.set()
        changes = doubling.changes()
        for unlucky in (13, 31):
            made = [asyncio.create_task(changes.make(number)) for number in (unlucky, 1)]
            for found in await asyncio.gather(*made, return_exceptions=True):
                assert isinstance(found, ValueError)
            assert await changes.make(1) == 2

    asyncio.run(work())


def test_what_is_not_made_together_is_made_otherwise() -> None:
    async def work() -> None:
        doubling = Doubling()
        doubling.gate.set()
        changes = doubling.changes()
        made = await asyncio.gather(*map(changes.make, (6, 7, 8)))
        assert made == [12, 700, 16]
        assert doubling.batches == [[6, 7, 8]]
        assert doubling.alone == [7]
        with pytest.raises(ValueError, match="once only"):
            await changes.make(7)

    asyncio.run(work())


def test_what_is_not_stored_is_in_later_batches_before_it_is_made_otherwise() -> None:
    async def work() -> None:
        doubling = Doubling()
        doubling.gate.set()
        changes = doubling.changes(pauses=(0.01, 1.0))
        seven = asyncio.create_task(changes.make(7))
        while len(doubling.batches) < 2:
            await asyncio.sleep(0.001)
        # No other change waits for its pause.
        assert await changes.make(8) == 16
        assert await seven == 700
        assert doubling.batches == [[7], [7], [8], [7]]
        assert doubling.alone == [7]

    asyncio.run(work())


def test_a_caller_that_is_cancelled_has_its_change_made() -> None:
    async def work() -> None:
        doubling = Doubling()
        changes = doubling.changes()
        first, leaving, staying = (asyncio.create_task(changes.make(n)) for n in (1, 2, 3))
        await asyncio.sleep(0.01)
        for each in (first, leaving):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each
        doubling.gate.set()
        assert await staying == 6
        assert [number for batch in doubling.batches for number in batch] == [1, 2, 3]

    asyncio.run(work())


def test_a_batch_is_stored_while_the_one_before_is_finished() -> None:
    async def work() -> None:
        doubling = Doubling()
        doubling.gate.set()
        doubling.last_gate.clear()
        changes = doubling.changes()
        first, second = (asyncio.create_task(changes.make(number)) for number in (1, 2))
        await asyncio.sleep(0.01)
        third = asyncio.create_task(changes.make(3))
        await asyncio.sleep(0.01)
        assert doubling.batches == [[1, 2], [3]]
        assert not any(task.done() for task in (first, second, third))
        doubling.last_gate.set()
        assert [*await asyncio.gather(first, second, third)] == [2, 4, 6]

    asyncio.run(work())


def test_changes_that_waited_too_long_are_not_made() -> None:
    async def work() -> None:
        doubling = Doubling()
        changes = doubling.changes(begins_within=0.2)
        first = asyncio.create_task(changes.make(1))
        await asyncio.sleep(0.01)
        late = [asyncio.create_task(changes.make(number)) for number in (2, 3)]
        await asyncio.sleep(0.3)
        in_time = asyncio.create_task(changes.make(4))
        await asyncio.sleep(0.01)
        doubling.gate.set()
        # The first one was begun before it was late.
        assert [await first, await in_time] == [2, 8]
        for each in late:
            with pytest.raises(BusyError, match="nothing was changed"):
                await each
        assert doubling.batches == [[1], [4]]

        doubling.gate.clear()
        first = asyncio.create_task(changes.make(1))
        await asyncio.sleep(0.01)
        late = [asyncio.create_task(changes.make(2))]
        await asyncio.sleep(0.3)
        doubling.gate.set()
        with pytest.raises(BusyError):
            await late[0]
        assert await changes.make(5) == 10
        assert doubling.batches[2:] == [[1], [5]]

    asyncio.run(work())

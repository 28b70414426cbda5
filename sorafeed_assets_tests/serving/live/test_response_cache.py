"""The response cache: what is kept, for how long, and what a change drops."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from sorafeed_assets.serving.live.response_cache import ResponseCache


def _run(work: Callable[[ResponseCache[str]], object], life: float = 5.0) -> object:
    async def run() -> object:
        answers: ResponseCache[str] = ResponseCache(life)
        answers.trust(trusted=True)
        return await work(answers)  # type: ignore[misc]  # a coroutine function

    return asyncio.run(run())


def test_what_was_begun_before_a_change_is_not_kept() -> None:
    async def work(answers: ResponseCache[str]) -> None:
        gate = asyncio.Event()

        async def slow(tags: set[str]) -> str:
            tags.add("a")
            await gate.wait()
            return "old"

        async def new(tags: set[str]) -> str:
            tags.add("a")
            return "new"

        asked = asyncio.create_task(answers.get("key", slow))
        await asyncio.sleep(0)
        answers.drop(["a"])
        assert await answers.get("key", new) == "new"
        gate.set()
        assert await asked == "old"
        assert await answers.get("key", new) == "new"

    _run(work)


def test_a_computation_that_began_without_the_channel_is_not_kept() -> None:
    async def work(answers: ResponseCache[str]) -> None:
        gate = asyncio.Event()

        async def slow(_tags: set[str]) -> str:
            await gate.wait()
            return "old"

        async def new(_tags: set[str]) -> str:
            return "new"

        answers.trust(trusted=False)
        asked = asyncio.create_task(answers.get("key", slow))
        await asyncio.sleep(0)
        answers.trust(trusted=True)
        gate.set()
        assert await asked == "old"
        assert await answers.get("key", new) == "new"

    _run(work)


@pytest.mark.parametrize("tags", [["a"], ["all"]])
def test_an_answer_is_dropped_by_its_tag_or_by_all(tags: list[str]) -> None:
    async def work(answers: ResponseCache[str]) -> None:
        made = iter("123")

        async def compute(read: set[str]) -> str:
            read.add("a")
            return next(made)

        assert await answers.get("key", compute) == "1"
        answers.drop(["b"])
        assert await answers.get("key", compute) == "1"
        answers.drop(tags)
        assert await answers.get("key", compute) == "2"
        answers.trust(trusted=False)
        answers.trust(trusted=True)
        assert await answers.get("key", compute) == "3"

    _run(work)


def test_who_keeps_asking_never_waits_and_gets_nothing_old() -> None:
    async def run() -> None:
        now = [0.0]
        answers: ResponseCache[float] = ResponseCache(5.0, lambda: now[0])
        answers.trust(trusted=True)
        computed = []

        async def compute(tags: set[str]) -> float:
            tags.add("a")
            made = now[0]
            await asyncio.sleep(0)
            computed.append(made)
            return made

        await answers.get("key", compute)
        for _ in range(40):
            now[0] += 0.5
            assert now[0] - await answers.get("key", compute) < 5
            await asyncio.sleep(0.001)
        assert answers.misses == 1
        assert len(computed) == 6
        # An answer that is being recomputed during a change is not cached.
        now[0] = computed[-1] + 4.5
        await answers.get("key", compute)
        answers.drop(["a"])
        await asyncio.sleep(0.001)
        now[0] += 0.1
        assert await answers.get("key", compute) == now[0]

    asyncio.run(run())


async def compute(size: int, _tags: set[str]) -> str:
    return "x" * size


def _kept(bodies: dict[str, int], moments: list[float], **bounds: int) -> list[str]:
    """The keys that stay cached for answers of these sizes, computed at these times."""

    async def run() -> list[str]:
        now = [0.0]
        answers: ResponseCache[str] = ResponseCache(5.0, lambda: now[0], size_of=len, **bounds)
        answers.trust(trusted=True)

        for key, moment in zip(bodies, moments, strict=False):
            now[0] = moment
            await answers.get(key, partial(compute, bodies[key]))
        now[0] = moments[-1]
        answers.expire()
        assert answers.size == sum(bodies[key] for key in answers)
        return list(answers)

    return asyncio.run(run())


def test_answers_are_kept_up_to_a_number_and_a_size() -> None:
    five = dict.fromkeys("abcde", 10)
    assert _kept(five, [0.0] * 5) == ["a", "b", "c", "d", "e"]
    assert _kept(five, [0.0] * 5, most=3) == ["c", "d", "e"]
    assert _kept(five, [0.0] * 5, most_bytes=25) == ["d", "e"]
    # An answer that is larger than the cache evicts no other.
    assert _kept({"a": 10, "b": 30, "c": 10}, [0.0] * 3, most_bytes=25) == ["a", "c"]


def test_answers_that_are_too_old_are_not_kept() -> None:
    five = dict.fromkeys("abcde", 10)
    assert _kept(five, [0.0, 1.0, 2.0, 3.0, 4.0, 6.5]) == ["c", "d", "e"]


def test_an_answer_computed_anew_takes_the_place_of_the_old_one() -> None:
    async def run() -> None:
        answers: ResponseCache[str] = ResponseCache(5.0, size_of=len)
        answers.trust(trusted=True)

        async def compute(tags: set[str]) -> str:
            tags.add("a")
            return "x" * 10

        for _ in range(3):
            await answers.get("key", compute)
            answers.drop(["a"])
        await answers.get("key", compute)
        assert answers.size == 10
        answers.drop(["all"])
        assert answers.size == 0

    asyncio.run(run())


def test_an_error_in_advance_is_told_to_who_asks_next() -> None:
    async def run() -> None:
        now = [0.0]
        answers: ResponseCache[str] = ResponseCache(5.0, lambda: now[0])
        answers.trust(trusted=True)

        async def good(_tags: set[str]) -> str:
            return "good"

        async def bad(_tags: set[str]) -> str:
            raise ValueError("away")

        await answers.get("key", good)
        now[0] = 4.0
        assert await answers.get("key", bad) == "good"
        await asyncio.sleep(0.001)
        now[0] = 5.5
        with pytest.raises(ValueError, match="away"):
            await answers.get("key", bad)

    asyncio.run(run())


def test_nothing_is_kept_without_the_channel() -> None:
    async def work(answers: ResponseCache[str]) -> None:
        made = iter("123")

        async def compute(_tags: set[str]) -> str:
            return next(made)

        answers.trust(trusted=False)
        assert [await answers.get("key", compute) for _ in range(3)] == ["1", "2", "3"]

    _run(work)

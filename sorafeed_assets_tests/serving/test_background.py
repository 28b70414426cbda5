"""Background work continues after any error, and its health is reported."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from redis import Redis

from sorafeed_assets.services import settle
from sorafeed_assets.serving import state
from sorafeed_assets.serving.background import Background
from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets.serving.live import changes
from sorafeed_assets.serving.live.changes import Listener
from sorafeed_assets.serving.live.connection import create_channel_client
from sorafeed_assets.serving.players import routes as players
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CHANGES
from sorafeed_assets_tests.serving.client import Api, wait_until


def _broken(*_args: object, **_more: object) -> object:
    raise ValueError("a mistake in the code")


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [
        ("jobs", settle, "run_count_jobs"),
        ("calls", players, "note_calls"),
        ("tokens", state, "tokens_version"),
        ("channel", changes, "_tags"),
    ],
)
def test_a_loop_that_meets_an_unexpected_error_is_shown_and_goes_on(
    admin: Api,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    module: object,
    function: str,
) -> None:
    def failures() -> int:
        return int(admin.http.get("/readyz").json()["background"][name]["failures"])

    def status() -> str:
        return str(admin.http.get("/readyz").json()["status"])

    assert failures() == 0
    monkeypatch.setattr(module, function, _broken)
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.publish(CHANGES, '["all"]')
    wait_until(lambda: failures() > 0)
    assert status() == "degraded"
    assert f'sorafeed_background_failures_total{{work="{name}"}}' in admin.http.get("/metrics").text
    monkeypatch.undo()
    wait_until(lambda: failures() == 0)
    wait_until(lambda: status() == "ready")
    before = admin.http.get("/readyz").json()["background"][name]["last_success"]
    assert before is not None


def _run(work: Callable[[Background], object]) -> None:
    async def run() -> None:
        work_of = Background(Metrics())
        try:
            await work(work_of)  # type: ignore[misc]  # a coroutine function
        finally:
            await work_of.stop()

    asyncio.run(run())


def test_the_pause_grows_after_unexpected_errors_only() -> None:
    pauses: list[float] = []
    errors: list[Exception | None] = [
        OSError("away"), ValueError("wrong"), ValueError("wrong"), OSError("away"), None, None,
    ]  # fmt: skip

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def run() -> None:
        done = asyncio.Event()

        async def work() -> None:
            if not errors:
                done.set()
                await asyncio.Event().wait()
            error = errors.pop(0)
            if error is not None:
                raise error

        tasks = Background(Metrics(), sleep)
        tasks.repeat("work", work, 2.0)
        await done.wait()
        assert tasks.is_well
        assert tasks.states["work"].last_success is not None
        await tasks.stop()

    asyncio.run(run())
    assert pauses == [2.0, 2.0, 8.0, 16.0, 2.0, 2.0, 2.0]


def test_a_cancellation_from_within_the_work_does_not_end_it() -> None:
    async def run(tasks: Background) -> None:
        calls = []

        async def work() -> None:
            calls.append(tasks.is_well)
            if len(calls) == 1:
                raise asyncio.CancelledError

        tasks.repeat("work", work, 0.001)
        while len(calls) < 3:
            await asyncio.sleep(0.001)
        assert calls == [True, False, True]

    _run(run)


def test_work_that_is_done_once_is_tried_until_it_goes_well() -> None:
    async def run(tasks: Background) -> None:
        calls = []

        async def work() -> None:
            calls.append(tasks.is_well)
            if len(calls) < 3:
                raise ValueError("wrong")

        tasks.until_done("work", work, 0.001)
        while not (calls and tasks.is_well):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert calls == [True, False, False]

    _run(run)


def test_the_traceback_of_an_unexpected_error_is_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run(tasks: Background) -> None:
        async def work() -> None:
            _broken()

        tasks.repeat("work", work, 0.001)
        while tasks.is_well:
            await asyncio.sleep(0.001)

    _run(run)
    logged = capsys.readouterr().out
    assert "a mistake in the code" in logged
    assert "Traceback" in logged


def test_work_ends_at_whatever_moment_it_is_stopped(settings: Settings) -> None:
    # asyncio's own time-out of a call, which redis uses, may swallow a cancellation.
    async def run() -> None:
        for turns in range(100):
            redis = create_channel_client(str(settings.redis_url))
            works = Background(Metrics())
            listener = Listener(redis, lambda _tags: None, lambda _connected: None)
            works.repeat("channel", listener.listen, 0.01, at_once=True)
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(30):
                await works.stop()
            await redis.aclose()

    uvloop.run(run())

"""Several processes of the API behind one port, restarted under load."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.api_processes import ApiProcesses
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.supervision import Supervisor, processes
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.serving.client import token_of
from sorafeed_assets_tests.wall import add_display


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the processes are noted."""
    return tmp_path


@pytest.fixture
def port() -> int:
    """The port of the processes."""
    return free_port()


@pytest.fixture
def api(folder: Path, port: int, engine: Engine, settings: Settings) -> Iterator[ApiProcesses]:
    """Two processes on a port."""
    add_display(engine, "HALL01")
    supervisor = Supervisor(folder, "serve", lambda _line: None)
    with ApiProcesses([str(port)], settings.as_environment(), folder, supervisor) as api:
        api.start(2)
        yield api


def _pids(folder: Path) -> set[int | None]:
    return {state.pid for state in processes(folder)}


def _answers(folder: Path, number: int, address: str) -> bool:
    """Whether a process was started again, and the port answers."""
    if not processes(folder)[number].restarts:
        return False
    try:
        return httpx.get(address, timeout=60).is_success
    except httpx.HTTPError:
        return False


def test_they_are_restarted_without_a_refused_connection(
    api: ApiProcesses, folder: Path, port: int, engine: Engine
) -> None:
    before, done = _pids(folder), Event()
    assert len(before) == 2
    answers: list[int] = []
    token = {"authorization": f"Bearer {token_of(engine, Role.READER)}"}

    def ask() -> None:
        # A connection each, so that every one of them has to be accepted.
        while not done.is_set():
            address = f"http://127.0.0.1:{port}/api/displays/HALL01/next"
            answers.append(httpx.get(address, headers=token, timeout=60).status_code)

    asking = Thread(target=ask)
    asking.start()
    try:
        wait_until(lambda: len(answers) > 5, "some answers")
        api.restart()
        so_far = len(answers)
        wait_until(lambda: len(answers) > so_far + 5, "more answers")
    finally:
        done.set()
        asking.join()
    assert set(answers) == {200}
    assert len(_pids(folder)) == 2
    assert _pids(folder).isdisjoint(before)


def test_those_that_are_killed_come_back_while_another_answers(
    api: ApiProcesses, folder: Path, port: int
) -> None:
    stop = Event()
    watching = Thread(target=api.watch, args=(stop, Event()))
    watching.start()
    try:
        address = f"http://127.0.0.1:{port}/healthz"
        for number, state in enumerate(processes(folder)):
            assert state.pid is not None
            assert httpx.get(address, timeout=60).is_success
            os.kill(state.pid, signal.SIGKILL)
            wait_until(lambda: _answers(folder, number, address), "it to come back")  # noqa: B023  # called at once
        # Those that were started again stay.
        assert all(httpx.get(address, timeout=60).is_success for _ in range(50))
        assert [state.restarts for state in processes(folder)] == [1, 1]
    finally:
        stop.set()
        watching.join()


def test_one_that_does_not_start_is_told(folder: Path, settings: Settings) -> None:
    supervisor = Supervisor(folder, "serve", lambda _line: None)
    variables = {**settings.as_environment(), "SORAFEED_WINDOW": "99"}
    with (
        ApiProcesses([str(free_port())], variables, folder, supervisor) as api,
        pytest.raises(SetupError, match=r"api ended with code 1; see its log .*api\.log"),
    ):
        api.start(1)

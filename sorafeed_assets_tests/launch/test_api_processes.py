"""Several processes of the API behind one port, restarted under load."""

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.api_processes import ApiProcesses, listen
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.supervision import ProcessState, Supervisor, processes
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
    with (
        listen("127.0.0.1", port) as socket,
        ApiProcesses(socket, [str(port)], settings.as_environment(), folder, supervisor) as api,
    ):
        api.start(2)
        yield api


def _apis(folder: Path) -> list[ProcessState]:
    return [state for state in processes(folder) if state.name.startswith("api")]


def _pids(folder: Path) -> set[int | None]:
    return {state.pid for state in _apis(folder)}


def _answers(folder: Path, number: int, address: str) -> bool:
    """Whether a process was started again, and the port answers."""
    if not _apis(folder)[number].restarts:
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


def test_a_restart_after_one_that_failed_replaces_all(
    api: ApiProcesses, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {state.name: state.pid for state in processes(folder)}
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(SetupError, match="api ended with"):
        api.restart()
    monkeypatch.undo()
    assert {state.name: state.pid for state in processes(folder)} == before
    api.restart()
    after = {state.name: state.pid for state in processes(folder)}
    assert after.keys() == before.keys()
    assert set(after.values()).isdisjoint(before.values())


def test_a_connection_that_has_said_nothing_yet_outlives_a_restart(
    api: ApiProcesses, port: int
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as silent:
        api.restart()
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert silent.recv(1_000).startswith(b"HTTP/1.1 200")


def test_those_that_are_killed_come_back_while_another_answers(
    api: ApiProcesses, folder: Path, port: int
) -> None:
    stop = Event()
    watching = Thread(target=api.watch, args=(stop, Event()))
    watching.start()
    try:
        address = f"http://127.0.0.1:{port}/healthz"
        for number, state in enumerate(_apis(folder)):
            assert state.pid is not None
            assert httpx.get(address, timeout=60).is_success
            os.kill(state.pid, signal.SIGKILL)
            wait_until(lambda: _answers(folder, number, address), "it to come back")  # noqa: B023  # called at once
        # Those that were started again stay.
        assert all(httpx.get(address, timeout=60).is_success for _ in range(50))
        assert [state.restarts for state in _apis(folder)] == [1, 1]
    finally:
        stop.set()
        watching.join()


def test_connections_are_accepted_by_what_is_free_or_wait(
    api: ApiProcesses, folder: Path, port: int
) -> None:
    address = f"http://127.0.0.1:{port}/healthz"
    hanging, other = (state.pid for state in _apis(folder))
    assert hanging is not None
    assert other is not None
    os.kill(hanging, signal.SIGSTOP)
    try:
        assert all(httpx.get(address, timeout=60).is_success for _ in range(30))
    finally:
        os.kill(hanging, signal.SIGCONT)
    for pid in (hanging, other):
        os.kill(pid, signal.SIGKILL)
    stop = Event()
    watching = Thread(target=api.watch, args=(stop, Event()))
    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(httpx.get, address, timeout=120) for _ in range(5)]
        watching.start()
        try:
            wait_until(lambda: not any(s.is_ready for s in _apis(folder)), "their ends")
            assert all(answer.result().is_success for answer in asking)
            wait_until(lambda: all(state.is_ready for state in _apis(folder)), "both")
            assert {hanging, other}.isdisjoint(_pids(folder))
        finally:
            stop.set()
            watching.join()


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with (
        listen("127.0.0.1", port),
        pytest.raises(SetupError, match=f"port {port} of 127.0.0.1 cannot be used"),
        listen("127.0.0.1", port),
    ):
        pass


def test_one_that_does_not_start_is_told(folder: Path, port: int, settings: Settings) -> None:
    supervisor = Supervisor(folder, "serve", lambda _line: None)
    variables = {**settings.as_environment(), "SORAFEED_WINDOW": "99"}
    with (
        listen("127.0.0.1", port) as socket,
        ApiProcesses(socket, [str(port)], variables, folder, supervisor) as api,
        pytest.raises(SetupError, match=r"api ended with code 1; see its log .*api\.log"),
    ):
        api.start(1)

"""Processes of the API that are forked: each is watched by itself, whatever forked it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.api_processes import listen
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.fork_server import ApiProgram, ForkServer
from sorafeed_assets.launch.processes import end_left_overs
from sorafeed_assets.launch.supervision import Supervisor, processes
from sorafeed_assets.serving.app import NOT_FOR_PLAYERS
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import wait_until

_COMMAND: Final = [sys.executable, "-m", "sorafeed_assets.serving"]


@pytest.fixture
def port() -> int:
    """The port of the API."""
    return free_port()


@pytest.fixture
def server(port: int, engine: Engine, settings: Settings, tmp_path: Path) -> Iterator[ForkServer]:
    """A fork server for a migrated database."""
    del engine  # migrated
    with listen("127.0.0.1", port) as socket:
        command = [*_COMMAND, str(port), "--socket", str(socket)]
        server = ForkServer(command, settings.as_environment(), tmp_path, socket)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def api(server: ForkServer) -> Iterator[ApiProgram]:
    """The API, which is not started yet."""
    program = ApiProgram("api", server)
    yield program
    program.stop()


def _pid(program: ApiProgram) -> int:
    wait_until(lambda: program.pid, "it to be forked")
    assert program.pid is not None
    return program.pid


def _answers(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60).is_success


def test_processes_are_forked_and_their_ends_are_told(
    server: ForkServer, api: ApiProgram, port: int
) -> None:
    api.start()
    assert _answers(port)
    first = _pid(api)
    assert psutil.Process(first).ppid() == server.pid
    assert api.ended() is None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: api.ended() == "code -9", "its end")
    api.start()
    assert _answers(port)
    assert _pid(api) != first
    second = _pid(api)
    api.stop()
    wait_until(lambda: not psutil.pid_exists(second), "its end")
    assert api.ended() is None


def test_its_process_id_is_published_as_soon_as_it_is_forked(
    server: ForkServer, api: ApiProgram, tmp_path: Path
) -> None:
    supervisor = Supervisor(tmp_path, "up", lambda _line: None)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    api.start()
    supervisor.watch(api)
    assert [state.pid for state in processes(tmp_path)] == [None]
    os.kill(server.pid, signal.SIGCONT)
    pid = _pid(api)
    supervisor.look()
    assert [state.pid for state in processes(tmp_path)] == [pid]
    supervisor.end()


def test_it_has_one_thread_so_that_none_is_lost_in_a_fork(
    server: ForkServer, api: ApiProgram
) -> None:
    api.start()
    _pid(api)
    assert psutil.Process(server.pid).num_threads() == 1


def test_processes_outlive_what_forked_them(server: ForkServer, api: ApiProgram, port: int) -> None:
    api.start()
    assert _answers(port)
    pid, killed = _pid(api), server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: server.ended() == "code -9", "its end")
    server.start()
    assert server.pid != killed
    assert _answers(port)
    assert api.ended() is None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: api.ended() == "an unknown code", "its end")
    api.start()
    assert _answers(port)


def test_what_was_asked_of_one_that_ended_is_asked_again(
    server: ForkServer, api: ApiProgram, port: int
) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    api.start()
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: api.ended() == "its fork server", "its end")
    api.start()
    assert _answers(port)


def test_the_next_owner_of_a_folder_ends_them(
    server: ForkServer, api: ApiProgram, tmp_path: Path
) -> None:
    api.start()
    pid = _pid(api)
    end_left_overs(tmp_path)
    wait_until(lambda: api.ended(), "its end")
    assert server.ended() is not None
    assert api.pid == pid


def test_it_ends_with_its_owner(settings: Settings, port: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with subprocess.Popen(
        [*_COMMAND, str(port), "--fork", str(theirs.fileno())],
        env={**os.environ, **settings.as_environment()},
        pass_fds=[theirs.fileno()],
    ) as waiting:
        theirs.close()
        ours.close()
        assert waiting.wait(60) == 0


def test_a_process_that_serves_at_once_imports_first_what_players_need() -> None:
    program = f"""
import sys, sorafeed_assets.serving.process
assert not set({NOT_FOR_PLAYERS}) & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)

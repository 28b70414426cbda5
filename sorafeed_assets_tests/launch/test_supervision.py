"""Supervision of real programs: started again, given up with their last words."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.launch.processes import Child
from sorafeed_assets.launch.supervision import Supervisor, processes
from sorafeed_assets_tests.cli.running import wait_until

_SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
_FAILS = [sys.executable, "-c", "print('the last words', flush=True); raise SystemExit(7)"]


class _Time:
    """A clock that the test moves on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said() -> list[str]:
    """The lines that were printed."""
    return []


@pytest.fixture
def clock() -> _Time:
    """The supervisor's clock."""
    return _Time()


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str], clock: _Time) -> Iterator[Supervisor]:
    """A supervisor of nothing yet."""
    supervisor = Supervisor(tmp_path, "up", said.append, clock)
    yield supervisor
    supervisor.end()
    assert processes(tmp_path) == ()


def _child(folder: Path, command: list[str]) -> Iterator[Child]:
    child = Child("a test", command, {}, folder)
    child.start()
    yield child
    child.stop()


@pytest.fixture
def sleeps(tmp_path: Path) -> Iterator[Child]:
    """A program that runs until it is ended."""
    yield from _child(tmp_path, _SLEEPS)


@pytest.fixture
def fails(tmp_path: Path) -> Iterator[Child]:
    """A program that ends by itself."""
    yield from _child(tmp_path, _FAILS)


def _pid(child: Child) -> int:
    assert child.pid is not None
    return child.pid


def _look_until_ended(supervisor: Supervisor, said: list[str], lines: int) -> None:
    def has_ended() -> bool:
        supervisor.look()
        return len(said) >= lines

    wait_until(has_ended, "the end of the program to be said")


def test_a_program_that_ends_is_started_again_after_a_pause(
    supervisor: Supervisor, sleeps: Child, tmp_path: Path, said: list[str], clock: _Time
) -> None:
    supervisor.watch(sleeps)
    (state,) = processes(tmp_path)
    assert (state.name, state.pid, state.restarts) == ("a test", sleeps.pid, 0)
    os.kill(first := _pid(sleeps), signal.SIGKILL)
    _look_until_ended(supervisor, said, 1)
    assert said == ["a test ended with code -9; it is restarted in 0.1 s"]
    assert processes(tmp_path)[0].pid is None
    supervisor.look()  # the pause is not over
    assert processes(tmp_path)[0].restarts == 0
    clock.now += 0.1
    supervisor.look()
    (state,) = processes(tmp_path)
    assert state.restarts == 1
    assert state.pid == sleeps.pid != first
    os.kill(_pid(sleeps), 0)


def test_pauses_grow_until_it_is_given_up_with_its_last_lines(
    supervisor: Supervisor, fails: Child, said: list[str], clock: _Time
) -> None:
    supervisor.watch(fails)

    def goes_on() -> None:
        if fails.ended() is not None:  # it takes its time on a busy machine
            clock.now += 15.0
        supervisor.look()

    with pytest.raises(SetupError) as given_up:
        wait_until(goes_on, "the end")
    pauses = [line.rpartition(" in ")[2] for line in said]
    assert pauses == ["0.1 s", "0.3 s", "0.9 s", "2.7 s", "8.1 s", "15 s", "15 s", "15 s"]
    assert str(given_up.value).startswith("a test ended with code 7, 9 times in a row; its log is")
    assert str(given_up.value).endswith("\n  the last words")


def test_a_program_that_ran_well_has_all_its_attempts_again(
    supervisor: Supervisor, sleeps: Child, said: list[str], clock: _Time
) -> None:
    supervisor.watch(sleeps)
    for turn in range(12):
        clock.now += 60.0
        os.kill(_pid(sleeps), signal.SIGKILL)
        _look_until_ended(supervisor, said, turn + 1)
        clock.now += 0.1
        supervisor.look()
    assert set(said) == {"a test ended with code -9; it is restarted in 0.1 s"}


def test_embedded_servers_come_back_at_their_address(
    supervisor: Supervisor, tmp_path: Path, said: list[str], clock: _Time
) -> None:
    postgres, redis = EmbeddedPostgres(tmp_path / "postgres"), EmbeddedRedis(tmp_path / "redis")
    try:
        for server in (postgres, redis):
            server.start()
            supervisor.watch(server)
        url = postgres.create_database("kept")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
        for server in (postgres, redis):
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
        _look_until_ended(supervisor, said, 2)

        def are_back() -> bool:
            clock.now += 15.0
            supervisor.look()
            return all(state.restarts for state in processes(tmp_path))

        wait_until(are_back, "both servers")
        assert postgres.url("kept") == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchall() == [(1,)]
        with closing(Redis.from_url(redis.url)) as client:
            assert client.ping()
    finally:
        redis.stop()
        postgres.stop()


def test_what_runs_is_told_as_long_as_its_owner_runs(
    supervisor: Supervisor, sleeps: Child, tmp_path: Path
) -> None:
    supervisor.watch(sleeps)
    stored = json.loads((tmp_path / "processes-up.json").read_text())
    assert stored["owner"] == os.getpid()
    assert [each["pid"] for each in stored["processes"]] == [sleeps.pid]
    # What a killed owner left is not shown.
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    (tmp_path / "processes-up.json").write_text(json.dumps({**stored, "owner": ended.pid}))
    assert processes(tmp_path) == ()

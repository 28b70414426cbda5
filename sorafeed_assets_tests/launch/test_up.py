"""Signals while `up` prepares and while it serves; ports."""

import os
import signal
import socket
from threading import Event, Timer

import dagster as dg
import pytest

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.materialize import in_background
from sorafeed_assets.launch.up import choose_port, stop_on_signals

_BOTH = [signal.SIGINT, signal.SIGTERM]


def _soon(number: int) -> None:
    Timer(0.1, os.kill, (os.getpid(), number)).start()


@pytest.mark.parametrize("number", _BOTH)
def test_a_signal_breaks_off_what_dagster_runs(number: int) -> None:
    released, attempts = Event(), []

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=3))
    def wait() -> None:
        attempts.append(1)
        _soon(number)
        released.wait(30)

    @dg.job
    def waiting() -> None:
        wait()

    try:
        with stop_on_signals() as stop, pytest.raises(KeyboardInterrupt):
            in_background(waiting.execute_in_process)
        assert stop.is_set()
        assert attempts == [1]
    finally:
        released.set()


@pytest.mark.parametrize("number", _BOTH)
def test_a_signal_is_waited_for_while_serving(number: int) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.wait(0)
        _soon(number)
        assert stop.wait(10)
        os.kill(os.getpid(), number)  # a second signal changes nothing
        assert stop.is_set()
    assert signal.getsignal(number) is before


def test_results_and_errors_come_back() -> None:
    assert in_background(lambda: 3) == 3
    with pytest.raises(SetupError, match="no"):
        in_background(lambda: (_ for _ in ()).throw(SetupError("no")))


def test_a_port_that_was_asked_for_is_used_or_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"port {port} is taken; choose another with --port"):
            choose_port(port)
    assert choose_port(port) == port

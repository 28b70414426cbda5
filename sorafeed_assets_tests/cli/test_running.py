"""Processes that have ended are ignored, because they may end at any moment."""

import subprocess
import sys
from pathlib import Path

import psutil

from sorafeed_assets_tests.cli.running import command_line, end_all, is_alive, processes_of


def test_a_process_that_has_ended_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input()", str(tmp_path)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE) as first,
        subprocess.Popen(command, stdin=subprocess.PIPE) as second,
    ):
        found = {process.pid: process for process in processes_of(tmp_path)}
        assert found.keys() == {first.pid, second.pid}
        first.kill()
        assert command_line(found[first.pid]) in ("", " ".join(command))  # perhaps a zombie
        first.wait()
        assert command_line(found[first.pid]) == ""
        assert not is_alive(found[first.pid])
        end_all([found[first.pid], found[second.pid]])
        assert second.wait(60) < 0
    assert not psutil.pid_exists(second.pid)

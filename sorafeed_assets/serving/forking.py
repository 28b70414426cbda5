"""A fork server: a process that has imported everything, and forks one that serves when asked.

Importing takes more than a second, serving after it a third of that. It has one thread, no event
loop and no connection, so that nothing of them is shared.

At a socket it is asked for a process by any message, and answers with messages of two numbers: a
process id, and its exit code, or `RUNS` when it was forked just now.
"""

import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

MESSAGE: Final = struct.Struct("ii")
RUNS: Final = 1_000
"""In place of an exit code, which is smaller."""


def fork_when_asked(descriptor: int, modules: Sequence[str], idle_seconds: float) -> None:
    """Fork a process for each request; returns in each of them, and ends this one with its owner.

    Args:
        descriptor: the socket's file descriptor.
        modules: imported after ``idle_seconds`` without a request, so that the first processes do
            not wait for them.
        idle_seconds: see ``modules``.
    """
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    patience: float | None = idle_seconds
    with socket.socket(fileno=descriptor) as owner:
        while True:
            ready = select.select([descriptor, woken], [], [], patience)[0]
            if woken in ready:
                os.read(woken, 1_024)
                _tell_ends(owner)
            if descriptor in ready:
                if not owner.recv(64):
                    sys.exit()
                if _is_forked(owner):
                    break
            if not ready:
                patience = None
                for name in modules:
                    importlib.import_module(name)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(woken)
    os.close(waking)


def _is_forked(owner: socket.socket) -> bool:
    """Fork; True in the new process, which leads a session of its own."""
    # Garbage collections of the new process would write to all pages that it shares with this one.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        return True
    owner.send(MESSAGE.pack(pid, RUNS))
    return False


def _tell_ends(owner: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            owner.send(MESSAGE.pack(ended[0], os.waitstatus_to_exitcode(ended[1])))

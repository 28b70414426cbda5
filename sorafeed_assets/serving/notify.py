"""Readiness by sd_notify's protocol: a datagram to the socket that NOTIFY_SOCKET names.

systemd speaks it (`Type=notify`), and so does `sorafeed serve` with the processes that it starts.
"""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"
_READY: Final = "READY=1"
_PROCESS: Final = "MAINPID="


def tell_ready() -> None:
    """Tell the parent or systemd that this process is ready; without NOTIFY_SOCKET do nothing."""
    name = os.environ.get(VARIABLE)
    if not name:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # "@" stands for the first byte of a name that is not in the file system.
        message = f"{_READY}\n{_PROCESS}{os.getpid()}".encode()
        sender.sendto(message, f"\0{name[1:]}" if name.startswith("@") else name)


class Readiness:
    """Hears which processes say that they are ready."""

    def __init__(self, receiver: socket.socket, name: str) -> None:
        self._receiver = receiver
        self.environment = {VARIABLE: name}

    def told(self, seconds: float = 0.0) -> int | None:
        """The id of a process that has said so, after at most ``seconds``; None if none has."""
        self._receiver.settimeout(seconds)
        try:
            lines = self._receiver.recv(256).decode().splitlines()
        except (TimeoutError, BlockingIOError):
            return None
        pids = [line.removeprefix(_PROCESS) for line in lines if line.startswith(_PROCESS)]
        return int(pids[0]) if _READY in lines and pids else None


@contextmanager
def readiness() -> Iterator[Readiness]:
    """A socket for processes that are about to be started."""
    name = f"@sorafeed-{os.getpid()}-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name[1:]}")
        yield Readiness(receiver, name)

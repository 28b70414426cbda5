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
_READY: Final = b"READY=1"


def tell_ready() -> None:
    """Tell the parent or systemd that this process is ready; without NOTIFY_SOCKET do nothing."""
    name = os.environ.get(VARIABLE)
    if not name:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # "@" stands for the first byte of a name that is not in the file system.
        sender.sendto(_READY, f"\0{name[1:]}" if name.startswith("@") else name)


class Readiness:
    """Waits for one process to say that it is ready."""

    def __init__(self, receiver: socket.socket, name: str) -> None:
        self._receiver = receiver
        self.environment = {VARIABLE: name}

    def was_told(self, seconds: float) -> bool:
        """Whether the process is ready, after at most ``seconds``."""
        self._receiver.settimeout(seconds)
        try:
            return self._receiver.recv(256).startswith(_READY)
        except TimeoutError:
            return False


@contextmanager
def readiness() -> Iterator[Readiness]:
    """A socket for one process that is about to be started."""
    name = f"@sorafeed-{os.getpid()}-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name[1:]}")
        yield Readiness(receiver, name)

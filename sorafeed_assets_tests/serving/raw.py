"""Connections that send what an HTTP client library would not."""

import contextlib
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit


def connect(url: str, *, receive_buffer: int | None = None) -> socket.socket:
    """Connect to a server; a small buffer makes a client that stops reading stall at once."""
    place = urlsplit(url)
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect((str(place.hostname), int(place.port or 0)))
    return connection


def head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The first lines of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: test", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """A chunk of a body of unknown length."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def status_of(connection: socket.socket) -> int:
    """The status of the answer; 0 when the server closes the connection without one."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n" not in received:
            part = connection.recv(4096)
            if not part:
                break
            received += part
    return int(received.split(b" ", 2)[1]) if b"\r\n" in received else 0


def exchange(url: str, parts: Iterable[bytes]) -> int:
    """Send the parts of a request as far as the server takes them; returns its status."""
    with connect(url) as connection:
        # A server that answers before the end may close its side.
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return status_of(connection)

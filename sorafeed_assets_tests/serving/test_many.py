"""Many players at once."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

PLAYERS = 300


def test_open_connections_keep_no_client_out(server: str) -> None:
    address = urlsplit(server)
    with ExitStack() as stack:
        for _ in range(PLAYERS):
            player = stack.enter_context(
                socket.create_connection((address.hostname, address.port), timeout=5)
            )
            player.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
            assert player.recv(1_000).startswith(b"HTTP/1.1 200")

"""A webhook on a port of this machine: keeps what it accepts, and refuses on demand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any


@dataclass
class Webhook:
    """What the webhook has got.

    Attributes:
        status: what it answers next.
        accepted: the messages that it answered with 200, in order.
        refused: how many it has answered otherwise.
        keys: the idempotency keys of those accepted.
    """

    url: str = ""
    status: int = 200
    accepted: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    keys: list[str] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Webhook]:
    """Run a webhook for as long as the block lasts."""
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if webhook.status == 200:
                assert self.headers["content-type"] == "application/json"
                webhook.accepted.append(message)
                webhook.keys.append(str(self.headers["idempotency-key"]))
            else:
                webhook.refused += 1
            self.send_response(webhook.status)
            self.send_header("content-length", "0")
            if 300 <= webhook.status < 400:
                self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_details: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook.url = f"http://127.0.0.1:{server.server_port}/hooks/secret"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            thread.join()

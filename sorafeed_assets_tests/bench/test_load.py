"""The load generator: its requests, its parsing of answers, and its clock."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from sorafeed_assets.bench.load import Call, answer_of, at_pace, closed_loop
from sorafeed_assets.bench.measuring import WrongResultError


class Echo(BaseHTTPRequestHandler):
    """Echoes the request in two parts; `/slow` answers late, `/wrong` with an error."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, sent: bytes) -> None:
        if self.path == "/slow":
            time.sleep(0.2)
        got = f"{self.command} {self.path} {self.headers['authorization']} ".encode() + sent
        self.send_response(500 if self.path == "/wrong" else 200)
        self.send_header("Content-Length", str(2 * len(got)))
        self.end_headers()
        for _ in range(2):
            self.wfile.write(got)
            self.wfile.flush()

    def log_message(self, *_arguments: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_call_is_sent_whole_and_its_answer_is_read_whole(url: str) -> None:
    assert answer_of(Call(f"{url}/a?b=1", "T")) == 2 * b"GET /a?b=1 Bearer T "
    assert answer_of(Call(url, "T", b"{}")) == 2 * b"POST / Bearer T {}"


def test_what_is_no_answer_ends_the_run(url: str) -> None:
    for measure in (
        lambda: answer_of(Call(f"{url}/wrong")),
        lambda: at_pace([Call(f"{url}/wrong")], 50, 0.1),
        lambda: closed_loop(Call(f"{url}/wrong"), 0.1),
    ):
        with pytest.raises(WrongResultError, match=r"GET /wrong.*500"):
            measure()


def test_times_run_from_when_a_call_was_due(url: str) -> None:
    # On one connection with 0.2 s per call, five calls at 20 a second wait for each other.
    taken = at_pace([Call(f"{url}/slow")], 20, 0.25)
    assert len(taken) == 5
    assert taken[0] >= 0.2
    assert taken[-1] >= 5 * 0.2 - 4 / 20
    # With a connection each, a slow call delays no other.
    mixed = at_pace([Call(f"{url}/slow"), *[Call(f"{url}/a")] * 9], 100, 0.1)
    assert len(mixed) == 10
    assert mixed[0] >= 0.2
    assert mixed[0] > min(mixed[1:])


def test_clients_in_a_closed_loop_are_counted(url: str) -> None:
    rate = closed_loop(Call(f"{url}/slow"), 0.5)
    # Eight clients, each waiting for its answer.
    assert 0 < rate <= 8 / 0.2

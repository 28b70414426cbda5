"""A message counts as sent only when the webhook accepts it; errors do not show its address."""

import socket
from threading import Thread

import pytest

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.webhook import post
from sorafeed_assets_tests.webhook import receiving


def test_a_message_is_posted_as_json_with_its_id() -> None:
    with receiving() as webhook:
        post(webhook.url, "a/1", {"text": "schön"})
        assert webhook.accepted == [{"id": "a/1", "text": "schön"}]
        assert webhook.keys == ["a/1"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_any_other_answer_is_a_refusal(status: int) -> None:
    with receiving() as webhook:
        webhook.status = status
        with pytest.raises(UnavailableError, match=f"answers {status}"):
            post(webhook.url, "a/1", {})
        assert webhook.accepted == []
        assert webhook.refused == 1


def test_an_address_where_nothing_listens_is_named_as_that() -> None:
    with pytest.raises(UnavailableError, match="does not answer") as refused:
        post(f"http://127.0.0.1:{free_port()}/secret", "a/1", {})
    assert "secret" not in str(refused.value)


def test_what_does_not_speak_http_has_accepted_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(UnavailableError, match="does not answer"):
            post(f"http://127.0.0.1:{listening.getsockname()[1]}/", "a/1", {})
        thread.join()


def test_an_address_that_cannot_be_used_is_not_shown() -> None:
    with pytest.raises(UnavailableError, match="does not answer") as refused:
        post("http://user:secret@127.0.0.1/", "a/1", {})
    assert "secret" not in str(refused.value)

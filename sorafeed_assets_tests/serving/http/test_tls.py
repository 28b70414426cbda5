"""HTTPS: a browser uses HTTP/2, and sends its token only by HTTPS."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import token_of

_OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(_OPENSSL is None, reason="no openssl to make a certificate with")


@pytest.fixture
def listening(tmp_path: Path) -> Listening:
    """A port with a certificate that only this test trusts."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        str(_OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return Listening(free_port(), certificate=certificate, key=key)


@pytest.fixture
def https(settings: Settings, listening: Listening) -> Iterator[str]:
    """The address of an API on TLS."""
    with serving(settings, listening) as url:
        yield url


@pytest.fixture
def trust(listening: Listening) -> ssl.SSLContext:
    """A TLS context that trusts only this certificate."""
    return ssl.create_default_context(cafile=str(listening.certificate))


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")]
)
def test_the_protocol_is_negotiated(
    https: str, listening: Listening, trust: ssl.SSLContext, offered: list[str], chosen: str
) -> None:
    trust.set_alpn_protocols(offered)
    address = (listening.host, listening.port)
    with (
        socket.create_connection(address, timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=listening.host) as secured,
    ):
        assert secured.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("spoken", ["HTTP/2", "HTTP/1.1"])
def test_it_answers(https: str, engine: Engine, trust: ssl.SSLContext, spoken: str) -> None:
    http2 = spoken == "HTTP/2"
    headers = {"authorization": f"Bearer {token_of(engine, Role.READER)}"}
    with httpx.Client(base_url=https, verify=trust, http2=http2, headers=headers) as client:
        for _ in range(3):
            answer = client.post("/graphql", json={"query": "{ __typename }"})
            assert answer.http_version == spoken
            assert answer.json() == {"data": {"__typename": "Query"}}


def test_a_token_is_kept_for_https_alone(https: str, engine: Engine, trust: ssl.SSLContext) -> None:
    token = token_of(engine, Role.ADMIN)
    with httpx.Client(base_url=https, verify=trust, http2=True) as client:
        entered = client.get("/admin", params={"token": token})
        assert entered.status_code == 303
        assert "; Secure" in entered.headers["set-cookie"]
        assert client.get("/admin").status_code == 200


def test_without_tls_nothing_answers(https: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(https.replace("https:", "http:"))

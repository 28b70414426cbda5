"""The log of an API that runs as a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import environment
from sorafeed_assets_tests.serving.client import token_of, wait_until


def _lines(log: Path) -> list[dict[str, Any]]:
    # A last line without a line feed is still being written.
    return [json.loads(line) for line in log.read_text().splitlines(True) if line.endswith("\n")]


def test_a_request_is_one_json_line_with_its_id(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    log, errors, port = tmp_path / "log", tmp_path / "errors", free_port()
    secret = token_of(engine, Role.READER)
    with log.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "sorafeed_assets.serving", str(port)],
            env=environment(**settings.as_environment()),
            stdout=out,
            stderr=err,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

            def is_up() -> bool:
                assert process.poll() is None, errors.read_text()
                try:
                    return client.get("/healthz").is_success
                except httpx.TransportError:
                    return False

            wait_until(is_up)
            response = client.get(
                "/graphql?query={__typename}", headers={"authorization": f"Bearer {secret}"}
            )
        assert response.status_code == 200
        wait_until(lambda: any(line.get("path") == "/graphql" for line in _lines(log)))
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
    (line,) = (line for line in _lines(log) if line.get("path") == "/graphql")
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["event"], line["level"]) == ("request", "info")
    assert (line["method"], line["status"]) == ("GET", 200)
    assert line["milliseconds"] > 0
    assert line["timestamp"].endswith("Z")
    assert secret not in log.read_text() + errors.read_text()

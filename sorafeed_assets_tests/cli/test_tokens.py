"""`sorafeed tokens`: create, list and revoke, while an API is served."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.services.tokens import Role, list_tokens
from sorafeed_assets.serving.access import access
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import answer, refusal
from sorafeed_assets_tests.serving.client import Api, readiness, wait_until
from sorafeed_assets_tests.wall import add_display


@pytest.fixture
def folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for commands, which use this test's servers."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", psycopg2_url(str(settings.database_url)))
    return settings.data_dir


@pytest.fixture
def server(settings: Settings) -> Iterator[str]:
    """The address of a served API."""
    with serving(settings, Listening(free_port())) as url:
        # Until then its log mixes with the output of a command in this process.
        wait_until(lambda: readiness(url).json()["status"] == "ready")
        yield url


def _status(url: str, secret: str, path: str) -> int:
    api = Api(url, secret)
    try:
        return api.http.get(path).status_code
    finally:
        api.close()


def test_made_listed_and_revoked(
    folder: Path, server: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_KNOWN_SECONDS", 600.0)
    add_display(engine, "HALL01")
    path = "/api/displays/HALL01/next"
    made = answer(
        "tokens", "create", "the [hall]", "--role", "display", "--display", "HALL01", folder=folder
    )
    reader = answer("tokens", "create", "reports", "--days", 90, folder=folder).strip()
    secret = made.strip()
    assert _status(server, secret, path) == 200
    assert _status(server, secret, "/api/displays/OTHER1/next") == 403
    assert _status(server, reader, path) == 200

    listed = answer("tokens", "list", folder=folder)
    hall, reports = list_tokens(engine)
    lines = {str(token.id): token for token in (hall, reports)}
    shown = [line for line in listed.splitlines() if any(each in line for each in lines)]
    assert len(shown) == 2
    assert "the [hall]" in shown[0]
    assert "HALL01" in shown[0]
    assert f"{reports.expires_at:%Y-%m-%d %H:%M}" in shown[1]
    assert secret not in listed
    assert reader not in listed

    assert str(hall.id) in answer("tokens", "revoke", hall.id, folder=folder)
    # By the notification: the cached token would be valid for longer.
    wait_until(lambda: _status(server, secret, path) == 401)
    assert _status(server, reader, path) == 200
    assert [token.revoked_at is not None for token in list_tokens(engine)] == [True, False]


def test_what_does_not_go_is_refused(folder: Path, engine: Engine) -> None:
    found = refusal("tokens", "create", "x", "--role", "display", folder=folder)
    assert found.startswith("The code is needed for the role display")
    found = refusal(
        "tokens", "create", "x", "--role", "display", "--display", "NOBODY", folder=folder
    )
    assert "display NOBODY does not exist" in found
    assert list_tokens(engine) == []
    answer("tokens", "create", "x", "--role", Role.ADMIN, folder=folder)
    (token,) = list_tokens(engine)
    assert token.role is Role.ADMIN
    answer("tokens", "revoke", token.id, folder=folder)
    again = refusal("tokens", "revoke", token.id, folder=folder)
    assert "does not exist or was revoked; see `sorafeed tokens list`" in again

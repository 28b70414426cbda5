"""Connecting screens: once, in time, and only the screen that showed the code."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from sorafeed_assets.services import pairing
from sorafeed_assets.services.pairing import begin_pairing, connect_screen, find_pairing
from sorafeed_assets.services.tokens import Role, find_token, revoke_screen, tokens_of
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display


def test_a_screen_gets_its_own_token(engine: Engine) -> None:
    add_display(engine, "MINE01")
    secret, waiting = begin_pairing(engine, "10.0.0.5")
    other, _ = begin_pairing(engine, "10.0.0.6")
    assert find_pairing(engine, secret) == waiting
    assert find_token(engine, secret) is None
    connected = connect_screen(engine, waiting.code, display_id="MINE01")
    token = find_token(engine, secret)
    assert token is not None
    assert (token.id, token.role, token.display_id) == (connected.token_id, Role.DISPLAY, "MINE01")
    assert token.name == "screen at 10.0.0.5"
    assert tokens_of(engine, "MINE01") == [token]
    # Neither the code nor another screen's secret opens anything.
    assert find_pairing(engine, secret) is None
    assert find_token(engine, waiting.code) is None
    assert find_token(engine, other) is None


def test_a_code_connects_one_screen_once(engine: Engine) -> None:
    for code in ("AAAAA1", "AAAAA2"):
        add_display(engine, code)
    _, waiting = begin_pairing(engine, "10.0.0.5")

    def connect(display_id: str) -> str | None:
        try:
            return connect_screen(engine, waiting.code, display_id=display_id).display_id
        except NotFoundError:
            return None

    with ThreadPoolExecutor(4) as threads:
        found = [each for each in threads.map(connect, ["AAAAA1", "AAAAA2"] * 2) if each]
    assert len(found) == 1
    assert [len(tokens_of(engine, code)) for code in ("AAAAA1", "AAAAA2")].count(1) == 1


def test_a_code_expires(engine: Engine) -> None:
    add_display(engine, "MINE01")
    secret, waiting = begin_pairing(engine, "10.0.0.5")
    run(engine, "UPDATE screen_pairings SET expires_at = now()")
    assert find_pairing(engine, secret) is None
    with pytest.raises(NotFoundError, match="no screen shows"):
        connect_screen(engine, waiting.code, display_id="MINE01")
    # The next screen removes it.
    begin_pairing(engine, "10.0.0.5")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM screen_pairings").scalar() == 1


def test_a_refused_connection_leaves_the_code_valid(engine: Engine) -> None:
    secret, waiting = begin_pairing(engine, "10.0.0.5")
    with pytest.raises(NotFoundError, match="NONE00"):
        connect_screen(engine, waiting.code, display_id="NONE00")
    with pytest.raises(InvalidInputError, match="name"):
        connect_screen(engine, waiting.code, name=" ")
    assert find_pairing(engine, secret) == waiting
    connected = connect_screen(engine, waiting.code, name="Lobby")
    token = find_token(engine, secret)
    assert token is not None
    assert token.display_id == connected.display_id


def test_a_token_is_revoked_only_on_its_own_display(engine: Engine) -> None:
    for code in ("AAAAA1", "AAAAA2"):
        add_display(engine, code)
    _, waiting = begin_pairing(engine, "10.0.0.5")
    token_id = connect_screen(engine, waiting.code, display_id="AAAAA1").token_id
    with pytest.raises(NotFoundError):
        revoke_screen(engine, "AAAAA2", token_id)
    revoke_screen(engine, "AAAAA1", token_id)
    assert tokens_of(engine, "AAAAA1")[0].revoked_at is not None


def test_waiting_screens_are_limited(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "MOST_WAITING", 2)
    for _ in range(2):
        begin_pairing(engine, "10.0.0.5")
    with pytest.raises(UnavailableError, match="wait to be connected"):
        begin_pairing(engine, "10.0.0.5")
    run(engine, "UPDATE screen_pairings SET expires_at = now()")
    begin_pairing(engine, "10.0.0.5")

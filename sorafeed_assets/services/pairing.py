"""Connecting screens with displays by a code that the screen shows.

A screen has a secret, of which only the hash is stored. When an admin enters the screen's code, the
hash becomes that of a token for the display: no secret is sent again, and knowing a code gives
nothing to a client without the screen's secret.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    NotFoundError,
    UnavailableError,
)
from sorafeed_assets.domain.pairing import make_code, parse_code, shown_code
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.playlists.displays import add_display
from sorafeed_assets.services.tokens import hash_of, new_secret
from sorafeed_assets.storage import pairings as stored
from sorafeed_assets.storage.playlists.rows import display_ids
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.tokens import add_screen_token

LIFE: Final = timedelta(minutes=10)
MOST_WAITING: Final = 10_000


@dataclass(frozen=True, slots=True)
class Pairing:
    """A screen that waits to be connected."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Connected:
    """A screen that was connected: its display and its token."""

    display_id: str
    token_id: UUID


@retried
def begin_pairing(engine: Engine, requested_from: str) -> tuple[str, Pairing]:
    """Let a screen wait to be connected; returns its secret, which is not stored, and its code.

    Raises:
        UnavailableError: too many screens wait.
    """
    secret = new_secret()
    with engine.begin() as connection:
        if stored.expire_pairings(connection) >= MOST_WAITING:
            raise UnavailableError(
                f"{MOST_WAITING:,} screens wait to be connected; try again in a few minutes"
            )
        while True:
            row = stored.insert_pairing(
                connection, make_code(secrets.choice), hash_of(secret), requested_from, LIFE
            )
            if row is not None:
                return secret, Pairing(**row)


def find_pairing(engine: Engine, secret: str) -> Pairing | None:
    """The pairing of a screen while it waits; None when it expired or was connected."""
    with engine.connect() as connection:
        row = stored.waiting_pairing(connection, hash_of(secret))
    return None if row is None else Pairing(**row)


@retried
def connect_screen(
    engine: Engine, code: str, *, display_id: str | None = None, name: str | None = None
) -> Connected:
    """Connect the screen that shows a code with a display, or with a new one of this name.

    Raises:
        InvalidInputError: no code, no display's code, or a blank name.
        NotFoundError: no screen shows this code now, or there is no such display.
    """
    code = parse_code(code)
    with engine.begin() as connection:
        taken = stored.take_pairing(connection, code)
        if taken is None:
            raise NotFoundError(
                f"no screen shows {shown_code(code)} now; enter the code that it shows, which"
                f" changes every {LIFE.seconds // 60} minutes"
            )
        display = _display(connection, display_id, name)
        token_id = add_screen_token(
            connection, display, f"screen at {taken['requested_from']}", taken["token_hash"]
        )
    return Connected(display, token_id)


def _display(connection: Connection, display_id: str | None, name: str | None) -> str:
    if display_id is None:
        return add_display(connection, None, name or "")
    check_display_code(display_id)
    if not display_ids(connection, [display_id]):
        raise DisplayNotFoundError(display_id)
    return display_id

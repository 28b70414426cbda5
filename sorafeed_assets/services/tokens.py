"""Tokens of the API: created, shown once, stored as hashes, revoked."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError, InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import check_display_code, check_name
from sorafeed_assets.domain.roles import Role as Role
from sorafeed_assets.storage import tokens as stored
from sorafeed_assets.storage.playlists.rows import display_ids
from sorafeed_assets.storage.postgres.retry import retried

_PREFIX: Final = "sfd_"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret; ``display_id`` is the display that a player's token is for."""

    id: UUID
    role: Role
    display_id: str | None
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def problem(self, now: datetime) -> str | None:
        """Why the token is no longer accepted; None when it is valid."""
        if self.revoked_at is not None:
            return "was revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return f"expired at {self.expires_at:%Y-%m-%d %H:%M} UTC"
        return None


@retried
def create_token(
    engine: Engine,
    role: Role,
    name: str,
    *,
    display_id: str | None = None,
    life: timedelta | None = None,
) -> tuple[UUID, str]:
    """Create a token; returns its id and its secret, which is not stored.

    Raises:
        InvalidInputError: a blank name, a life that is not positive, or a display that does not fit
            the role.
        NotFoundError: there is no such display.
    """
    name = check_name(name)
    if (role is Role.DISPLAY) != (display_id is not None):
        raise InvalidInputError("display_id", "is needed for the role display, and only for it")
    if life is not None and life <= timedelta():
        raise InvalidInputError("life", f"is {life}; it must be positive")
    secret = new_secret()
    with engine.begin() as connection:
        if display_id is not None:
            check_display_code(display_id)
            if not display_ids(connection, [display_id]):
                raise DisplayNotFoundError(display_id)
        token_id = stored.insert_token(
            connection,
            role=role.value,
            display_id=display_id,
            name=name,
            token_hash=hash_of(secret),
            expires_at=None if life is None else datetime.now(UTC) + life,
        )
    return token_id, secret


def find_token(engine: Engine, secret: str) -> Token | None:
    """The token with this secret, even if expired or revoked."""
    return find_tokens(engine, [secret]).get(secret)


def find_tokens(engine: Engine, given: Collection[str]) -> dict[str, Token]:
    """The tokens with the given secrets, including expired and revoked ones."""
    hashes = {hash_of(secret): secret for secret in given}
    with engine.connect() as connection:
        rows = [dict(row) for row in stored.find_tokens(connection, hashes)]
    return {hashes[row.pop("token_hash")]: _token(row) for row in rows}


def tokens_by_id(engine: Engine, ids: Collection[UUID]) -> dict[UUID, Token]:
    """The tokens with the given ids, including expired and revoked ones."""
    with engine.connect() as connection:
        found = [_token(dict(row)) for row in stored.tokens_by_id(connection, ids)]
    return {token.id: token for token in found}


def usable_tokens(engine: Engine, most: int) -> tuple[str, dict[str, Token]]:
    """The newest tokens that are neither revoked nor expired, by hash, with their version."""
    with engine.connect() as connection:
        # Read first: a token that changes meanwhile makes the next version differ.
        version = stored.tokens_version(connection)
        rows = [dict(row) for row in stored.usable_tokens(connection, most)]
    return version, {str(row.pop("token_hash")): _token(row) for row in rows}


def tokens_version(engine: Engine) -> str:
    """A version that differs whenever a token was added, changed or removed."""
    with engine.connect() as connection:
        return stored.tokens_version(connection)


def list_tokens(engine: Engine) -> list[Token]:
    """All tokens in the order of their creation."""
    with engine.connect() as connection:
        return [_token(dict(row)) for row in stored.list_tokens(connection)]


def tokens_of(engine: Engine, display_id: str) -> list[Token]:
    """The tokens of a display's screens in the order of their creation."""
    with engine.connect() as connection:
        return [_token(dict(row)) for row in stored.tokens_of(connection, display_id)]


@retried
def create_screen_link(engine: Engine, display_id: str, name: str) -> str:
    """Create a token of a display for a link; returns its secret, which is not stored.

    Raises:
        InvalidInputError: a blank name, or no display's code.
        NotFoundError: there is no such display.
    """
    name, secret = check_name(name), new_secret()
    check_display_code(display_id)
    with engine.begin() as connection:
        if not display_ids(connection, [display_id]):
            raise DisplayNotFoundError(display_id)
        stored.add_screen_token(connection, display_id, name, hash_of(secret))
    return secret


def revoke_token(engine: Engine, token_id: UUID) -> None:
    """Revoke a token.

    Raises:
        NotFoundError: the token does not exist, or was already revoked.
    """
    with engine.begin() as connection:
        if not stored.revoke_token(connection, token_id):
            raise NotFoundError(
                f"token {token_id} does not exist or was revoked; see `sorafeed tokens list`"
            )


def revoke_screen(engine: Engine, display_id: str, token_id: UUID) -> None:
    """Revoke a token of a display.

    Raises:
        NotFoundError: the display has no such token, or it was already revoked.
    """
    with engine.begin() as connection:
        if not stored.revoke_screen_token(connection, display_id, token_id):
            raise NotFoundError(f"token {token_id} is not of {display_id}, or was revoked")


def new_secret() -> str:
    """Make the secret of a token."""
    # 256 random bits cannot be guessed, so they need no slow hash.
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """The hash of a secret, as stored."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _token(row: dict[str, object]) -> Token:
    return Token(**{**row, "role": Role(str(row["role"]))})  # type: ignore[arg-type]  # the columns are the fields

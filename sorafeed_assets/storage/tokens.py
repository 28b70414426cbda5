"""SQL of the API's tokens, of which only hashes are stored."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

_INSERT: Final = text("""
INSERT INTO api_tokens (role, display_id, name, token_hash, expires_at)
VALUES (:role, :display_id, :name, :token_hash, :expires_at)
RETURNING id
""")

_FIND: Final = text("""
SELECT token_hash, id, role, display_id, name, created_at, expires_at, revoked_at
FROM api_tokens WHERE token_hash = ANY(CAST(:hashes AS text[]))
""")

_USABLE: Final = text("""
SELECT token_hash, id, role, display_id, name, created_at, expires_at, revoked_at
FROM api_tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC LIMIT :most
""")

# Differs whenever a token was added, changed or removed.
_VERSION: Final = text("""
SELECT concat(count(*), ' ', sum(hashtextextended(CAST(t AS text), 0))) FROM api_tokens t
""")

_LIST: Final = text("""
SELECT id, role, display_id, name, created_at, expires_at, revoked_at
FROM api_tokens ORDER BY created_at, id
""")

_BY_ID: Final = text("""
SELECT id, role, display_id, name, created_at, expires_at, revoked_at
FROM api_tokens WHERE id = ANY(CAST(:ids AS uuid[]))
""")

_REVOKE: Final = text("""
UPDATE api_tokens SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL
""")

_ADD_SCREEN: Final = text("SELECT add_screen_token(:display_id, :name, :token_hash)")

_REVOKE_SCREEN: Final = text("SELECT revoke_screen_token(:display_id, :id)")

_OF_DISPLAY: Final = text("""
SELECT id, role, display_id, name, created_at, expires_at, revoked_at
FROM api_tokens WHERE display_id = :display_id ORDER BY created_at, id
""")


def insert_token(
    connection: Connection,
    *,
    role: str,
    display_id: str | None,
    name: str,
    token_hash: str,
    expires_at: datetime | None,
) -> UUID:
    """Store a token's hash, role and expiry; returns its id."""
    values = {
        "role": role,
        "display_id": display_id,
        "name": name,
        "token_hash": token_hash,
        "expires_at": expires_at,
    }
    added: UUID = connection.execute(_INSERT, values).scalar_one()
    return added


def find_tokens(connection: Connection, hashes: Collection[str]) -> Sequence[RowMapping]:
    """The tokens with these hashes, whatever their state."""
    return connection.execute(_FIND, {"hashes": list(hashes)}).mappings().all()


def usable_tokens(connection: Connection, most: int) -> Sequence[RowMapping]:
    """The newest tokens that are neither revoked nor expired."""
    return connection.execute(_USABLE, {"most": most}).mappings().all()


def tokens_version(connection: Connection) -> str:
    """A version that differs whenever a token was added, changed or removed."""
    return str(connection.scalar(_VERSION))


def list_tokens(connection: Connection) -> Sequence[RowMapping]:
    """All tokens in the order of their creation."""
    return connection.execute(_LIST).mappings().all()


def tokens_by_id(connection: Connection, ids: Collection[UUID]) -> Sequence[RowMapping]:
    """The tokens with these ids, whatever their state."""
    return connection.execute(_BY_ID, {"ids": list(ids)}).mappings().all()


def tokens_of(connection: Connection, display_id: str) -> Sequence[RowMapping]:
    """The tokens of a display in the order of their creation."""
    return connection.execute(_OF_DISPLAY, {"display_id": display_id}).mappings().all()


def add_screen_token(connection: Connection, display_id: str, name: str, token_hash: str) -> UUID:
    """Store a token of a display, as the API's login may; returns its id."""
    values = {"display_id": display_id, "name": name, "token_hash": token_hash}
    added: UUID = connection.execute(_ADD_SCREEN, values).scalar_one()
    return added


def revoke_token(connection: Connection, token_id: UUID) -> bool:
    """Revoke a token; False when it does not exist or was already revoked."""
    return connection.execute(_REVOKE, {"id": token_id}).rowcount == 1


def revoke_screen_token(connection: Connection, display_id: str, token_id: UUID) -> bool:
    """Revoke a token of a display, as the API's login may; False when it has none like it."""
    return bool(connection.scalar(_REVOKE_SCREEN, {"display_id": display_id, "id": token_id}))

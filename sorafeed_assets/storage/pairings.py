"""SQL of the screens that wait to be connected with a display."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, RowMapping, text

_EXPIRE: Final = text("DELETE FROM screen_pairings WHERE expires_at <= now()")

_COUNT: Final = text("SELECT count(*) FROM screen_pairings")

_INSERT: Final = text("""
INSERT INTO screen_pairings (code, token_hash, requested_from, expires_at)
VALUES (:code, :token_hash, :requested_from, now() + :life)
ON CONFLICT (code) DO NOTHING
RETURNING code, expires_at
""")

_WAITING: Final = text("""
SELECT code, expires_at FROM screen_pairings
WHERE token_hash = :token_hash AND expires_at > now()
""")

_TAKE: Final = text("""
DELETE FROM screen_pairings WHERE code = :code AND expires_at > now()
RETURNING token_hash, requested_from
""")


def expire_pairings(connection: Connection) -> int:
    """Delete the expired pairings; returns how many wait."""
    connection.execute(_EXPIRE)
    waiting: int = connection.execute(_COUNT).scalar_one()
    return waiting


def insert_pairing(
    connection: Connection, code: str, token_hash: str, requested_from: str, life: timedelta
) -> RowMapping | None:
    """Add a pairing; returns its code and expiry, or None when the code is taken."""
    values = {
        "code": code,
        "token_hash": token_hash,
        "requested_from": requested_from,
        "life": life,
    }
    return connection.execute(_INSERT, values).mappings().one_or_none()


def waiting_pairing(connection: Connection, token_hash: str) -> RowMapping | None:
    """The code and expiry of the pairing of a screen; None when it does not wait."""
    return connection.execute(_WAITING, {"token_hash": token_hash}).mappings().one_or_none()


def take_pairing(connection: Connection, code: str) -> RowMapping | None:
    """Remove a waiting pairing; returns its token's hash and its address, None if unknown."""
    return connection.execute(_TAKE, {"code": code}).mappings().one_or_none()

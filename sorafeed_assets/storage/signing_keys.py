"""SQL of the keys that sign the plans of players."""

from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

_LOAD: Final = text("SELECT id, private_key FROM signing_keys ORDER BY created_at DESC, id DESC")

# Only the first of several servers adds a key; the others wait for it, and find its key.
_IS_DUE: Final = text("""
SELECT NOT EXISTS (
    SELECT FROM signing_keys WHERE created_at > now() - :days * interval '1 day')
""")
_INSERT: Final = text("INSERT INTO signing_keys (private_key) VALUES (:private_key)")
_LOCK: Final = text("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
_EXPIRE: Final = text(
    "DELETE FROM signing_keys WHERE created_at < now() - :days * interval '1 day'"
)


class StoredKey(NamedTuple):
    """A key: its id, and PKCS #8 in DER."""

    id: UUID
    private_key: bytes


def load_keys(connection: Connection) -> list[StoredKey]:
    """All keys, the newest first."""
    return [StoredKey(row.id, bytes(row.private_key)) for row in connection.execute(_LOAD)]


def key_is_due(connection: Connection, days: float) -> bool:
    """Whether the newest key is older than this, or there is none."""
    return bool(connection.scalar(_IS_DUE, {"days": days}))


def hold_keys(connection: Connection) -> None:
    """Keep other servers from adding a key until the transaction ends."""
    connection.execute(_LOCK)


def add_key(connection: Connection, private_key: bytes) -> None:
    """Store a key, which signs from now on."""
    connection.execute(_INSERT, {"private_key": private_key})


def expire_keys(connection: Connection, days: float) -> None:
    """Delete the keys that are older than this."""
    connection.execute(_EXPIRE, {"days": days})

"""SQL of the idempotency keys: which server executes a request, and its stored answer."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, text

# After a day a key may be used for another request.
_CLAIM: Final = text("""
INSERT INTO idempotency_keys AS k (token_id, key, request_digest, running_until)
VALUES (:token_id, :key, :digest, now() + :seconds * interval '1 s')
ON CONFLICT (token_id, key) DO UPDATE
SET request_digest = excluded.request_digest, running_until = excluded.running_until,
    answer = NULL, created_at = now()
WHERE k.created_at < now() - interval '1 day' AND k.running_until < now()
RETURNING true
""")

_READ: Final = text("""
SELECT request_digest, answer, running_until > now() AS is_running
FROM idempotency_keys WHERE token_id = :token_id AND key = :key
""")

_FINISH: Final = text("""
UPDATE idempotency_keys SET answer = :answer, running_until = now()
WHERE token_id = :token_id AND key = :key
""")

_RELEASE: Final = text("""
DELETE FROM idempotency_keys WHERE token_id = :token_id AND key = :key
""")

_PROLONG: Final = text("""
UPDATE idempotency_keys SET running_until = now() + :seconds * interval '1 s'
WHERE token_id = :token_id AND key = :key AND answer IS NULL
""")

_EXPIRE: Final = text("""
DELETE FROM idempotency_keys
WHERE created_at < now() - interval '1 day' AND running_until < now()
""")


def claim_key(
    connection: Connection, token_id: UUID, key: str, digest: str, seconds: float
) -> bool:
    """Claim a key for ``seconds``; False when it was used within the last day."""
    values = {"token_id": token_id, "key": key, "digest": digest, "seconds": seconds}
    return connection.execute(_CLAIM, values).first() is not None


def read_key(connection: Connection, token_id: UUID, key: str) -> Row[Any] | None:
    """The ``request_digest`` of a key, its ``answer``, and whether the request ``is_running``."""
    return connection.execute(_READ, {"token_id": token_id, "key": key}).first()


def finish_key(connection: Connection, token_id: UUID, key: str, answer: str | None) -> None:
    """Store the answer to a request; None ends the request without an answer."""
    connection.execute(_FINISH, {"token_id": token_id, "key": key, "answer": answer})


def release_key(connection: Connection, token_id: UUID, key: str) -> None:
    """Delete a key."""
    connection.execute(_RELEASE, {"token_id": token_id, "key": key})


def prolong_key(connection: Connection, token_id: UUID, key: str, seconds: float) -> None:
    """Extend the claim of a key until ``seconds`` from now."""
    connection.execute(_PROLONG, {"token_id": token_id, "key": key, "seconds": seconds})


def expire_keys(connection: Connection) -> int:
    """Delete the keys that are older than a day; returns how many."""
    return connection.execute(_EXPIRE).rowcount

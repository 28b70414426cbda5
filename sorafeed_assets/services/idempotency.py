"""Idempotency keys: which server executes a request, and its stored answer."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.storage import idempotency as stored
from sorafeed_assets.storage.postgres.retry import retried

Key = tuple[UUID, str]
"""A token's id, and the key that the client sent with a request."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The state of a key.

    Attributes:
        is_new: the caller has to execute the request.
        digest: the digest of the request that the key was first used for.
        answer: the answer to that request, once it has ended.
        is_running: whether a server is executing it.
    """

    is_new: bool
    digest: str
    answer: str | None
    is_running: bool


@retried
def claim(engine: Engine, key: Key, digest: str, seconds: float) -> Claim:
    """Claim a key for ``seconds``, or read its state."""
    with engine.begin() as connection:
        while not stored.claim_key(connection, *key, digest, seconds):
            found = stored.read_key(connection, *key)
            # Another server may have released the key in between.
            if found is not None:
                return Claim(False, found.request_digest, found.answer, found.is_running)
    return Claim(True, digest, None, is_running=True)


@retried
def finish(engine: Engine, key: Key, answer: str) -> None:
    """Store the answer to a request."""
    with engine.begin() as connection:
        stored.finish_key(connection, *key, answer)


@retried
def abandon(engine: Engine, key: Key) -> None:
    """End a request without an answer: it is unknown whether it changed anything."""
    with engine.begin() as connection:
        stored.finish_key(connection, *key, None)


@retried
def release(engine: Engine, key: Key) -> None:
    """Delete the key of a request that changed nothing, so that it can be executed again."""
    with engine.begin() as connection:
        stored.release_key(connection, *key)


@retried
def prolong(engine: Engine, key: Key, seconds: float) -> None:
    """Extend the claim of a request that is still being executed by ``seconds``."""
    with engine.begin() as connection:
        stored.prolong_key(connection, *key, seconds)


@retried
def expire(engine: Engine) -> int:
    """Delete the keys that are older than a day; returns how many."""
    with engine.begin() as connection:
        return stored.expire_keys(connection)

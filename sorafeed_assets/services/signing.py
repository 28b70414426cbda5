"""Signing the plans of players, and recognizing the picks that were planned.

A plan is signed by ECDSA over P-256 with SHA-256, which browsers verify without a secret. A pick
has a receipt, an HMAC, by which a play that is reported days later is known to be of a plan.
"""

import hashlib
import hmac
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.storage import signing_keys as stored

_DAYS: Final = 30
_KNOWN_SECONDS: Final = 60.0
_NUMBER_BYTES: Final = 32
_RECEIPT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PlannedPick:
    """A position of a display's plan, as a player gets it."""

    display_id: str
    block_id: UUID
    video_id: str
    loop: int
    position: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A text with the id of its key and its signature, as base64 of r and s."""

    text: str
    key: str
    signature: str


class _Key:
    """A key pair, with what is derived from it."""

    def __init__(self, row: stored.StoredKey) -> None:
        self.id = str(row.id)
        private = serialization.load_der_private_key(row.private_key, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError(f"signing key {row.id} is not of an elliptic curve; delete its row")
        self._private = private
        self.public = b64encode(
            private.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
        ).decode()
        self._receipts = HKDF(hashes.SHA256(), 32, None, b"sorafeed receipts").derive(
            row.private_key
        )

    def sign(self, text: str) -> str:
        """The signature of a text in the form that WebCrypto verifies."""
        der = self._private.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        numbers = utils.decode_dss_signature(der)
        return b64encode(
            b"".join(number.to_bytes(_NUMBER_BYTES, "big") for number in numbers)
        ).decode()

    def receipt(self, pick: PlannedPick) -> str:
        """The receipt of a pick."""
        about = "\0".join(
            (pick.display_id, str(pick.block_id), pick.video_id, str(pick.loop), str(pick.position))
        )
        made = hmac.digest(self._receipts, about.encode("utf-8", "replace"), hashlib.sha256)
        return urlsafe_b64encode(made[:_RECEIPT_BYTES]).decode().rstrip("=")


class Signer:
    """Signs by the newest key; a key is replaced after a month, and known for another ``life``.

    Args:
        engine: the database, which has the keys.
        life: how long a plan is valid, in days.
        clock: seconds, for how long keys are kept in memory.
    """

    def __init__(
        self, engine: Engine, life: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        # A play of a plan may be told some time after the plan's end.
        self._kept_days: Final = _DAYS + 2 * life
        self._clock = clock
        self._lock = Lock()
        self._keys: Sequence[_Key] = ()
        self._read_at = -_KNOWN_SECONDS

    def sign(self, text: str) -> Signed:
        """Sign a text."""
        key = self._current()[0]
        return Signed(text, key.id, key.sign(text))

    def receipts(self, picks: Sequence[PlannedPick]) -> list[str]:
        """The receipts of picks."""
        key = self._current()[0]
        return [key.receipt(pick) for pick in picks]

    def was_planned(self, pick: PlannedPick, receipt: str) -> bool:
        """Whether a server of this database gave out this receipt for the pick."""
        given = receipt.encode("utf-8", "replace")
        return any(
            hmac.compare_digest(key.receipt(pick).encode(), given) for key in self._current()
        )

    def public_keys(self) -> list[dict[str, str]]:
        """The keys that plans may be signed by: their ids, and points as base64."""
        return [{"id": key.id, "public": key.public} for key in self._current()]

    def _current(self) -> Sequence[_Key]:
        """The keys, the newest first; read once a minute, and known while PostgreSQL is away."""
        with self._lock:
            if self._clock() - self._read_at >= _KNOWN_SECONDS:
                try:
                    self._keys = [_Key(row) for row in self._read()]
                except SQLAlchemyError:
                    if not self._keys:
                        raise
                self._read_at = self._clock()
            return self._keys

    def _read(self) -> list[stored.StoredKey]:
        with self._engine.connect() as connection:
            if not stored.key_is_due(connection, _DAYS):
                return stored.load_keys(connection)
        with self._engine.begin() as connection:
            stored.hold_keys(connection)
            if stored.key_is_due(connection, _DAYS):
                stored.add_key(connection, _new_key())
                stored.expire_keys(connection, self._kept_days)
            return stored.load_keys(connection)


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

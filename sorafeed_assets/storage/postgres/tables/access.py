"""Tokens, screens that wait for one, repeated requests, and the keys that sign plans."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from sorafeed_assets.storage.postgres.tables.common import MOMENT, created_at, id_column, metadata

api_tokens = Table(
    "api_tokens",
    metadata,
    id_column(),
    Column("role", Text, nullable=False),
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("token_hash", Text, nullable=False, comment="SHA-256 of the token, which is not kept"),
    created_at(),
    Column("expires_at", MOMENT),
    Column("revoked_at", MOMENT),
    CheckConstraint("role IN ('admin', 'reader', 'display')", name="role"),
    CheckConstraint("(role = 'display') = (display_id IS NOT NULL)", name="display"),
    CheckConstraint("btrim(name) <> ''", name="name_filled"),
    UniqueConstraint("token_hash"),
    Index("api_tokens_display_id_idx", "display_id"),
)

screen_pairings = Table(
    "screen_pairings",
    metadata,
    Column("code", Text, primary_key=True, comment="what the screen shows and an admin enters"),
    Column(
        "token_hash",
        Text,
        nullable=False,
        comment="SHA-256 of the screen's secret, which becomes its token",
    ),
    Column("requested_from", Text, nullable=False, comment="the screen's address"),
    created_at(),
    Column("expires_at", MOMENT, nullable=False),
    CheckConstraint("code ~ '^[A-Z2-9]{8}$'", name="code"),
    UniqueConstraint("token_hash"),
    Index("screen_pairings_expires_at_idx", "expires_at"),
    comment="screens that wait to be connected with a display; removed when they are",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("token_id", ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_digest", Text, nullable=False),
    Column(
        "running_until",
        MOMENT,
        nullable=False,
        comment="prolonged by the server that executes the request;"
        " past without an answer, the outcome is unknown",
    ),
    Column("answer", Text, comment="JSON as it was sent; null until the request is over"),
    created_at(),
    CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key_length"),
    Index("idempotency_keys_created_at_idx", "created_at"),
    comment="requests that clients may repeat: a repeat gets the first answer; kept for a day",
)

signing_keys = Table(
    "signing_keys",
    metadata,
    id_column(),
    Column("private_key", LargeBinary, nullable=False, comment="ECDSA P-256, PKCS #8 in DER"),
    created_at(),
    comment="keys that sign the plans of players; the newest signs",
)

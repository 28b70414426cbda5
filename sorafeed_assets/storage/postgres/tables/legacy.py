"""How far the old system is followed, and what differs."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Table, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.storage.postgres.tables.common import MOMENT, metadata

legacy_cursors = Table(
    "legacy_cursors",
    metadata,
    Column("name", Text, primary_key=True, comment="creators or posts"),
    Column(
        "indexed_at",
        MOMENT,
        comment="posts: of the last post that was copied; creators: when their copy began",
    ),
    Column("id", Text, nullable=False, server_default=text("''"), comment="of the last copied row"),
    Column("is_complete", Boolean, nullable=False, server_default=text("false")),
    Column("looked_at", MOMENT, comment="when the old catalogue was last read to its end"),
    comment="how far the old system's catalogue is copied",
)

legacy_comparisons = Table(
    "legacy_comparisons",
    metadata,
    Column("part", Text, primary_key=True, comment="a catalog day, undated, or creators"),
    Column("old_rows", BigInteger, nullable=False),
    Column("our_rows", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False, comment="rows that were missing here"),
    Column("changed", BigInteger, nullable=False, comment="rows that differed here"),
    Column("only_here", BigInteger, nullable=False, comment="rows that only exist here"),
    Column("compared_at", MOMENT, nullable=False, server_default=func.now()),
    Column("old_digest", Text, comment="of the part's rows there"),
    comment="the last comparison of each part of the catalogue with the old system's",
)

legacy_imports = Table(
    "legacy_imports",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, comment="of what both sides had then"),
    Column("imported_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('display', 'playlist', 'active', 'plays')", name="kind"),
    comment="what was imported from the old system's queues: tells which side changed since",
)

legacy_problems = Table(
    "legacy_problems",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("place", Text, primary_key=True),
    Column("problem", Text, primary_key=True),
    Column("found_at", MOMENT, nullable=False, server_default=func.now()),
    comment="what the last import of the old system's queues did not import, and why",
)

legacy_queues = Table(
    "legacy_queues",
    metadata,
    Column("path", Text, primary_key=True),
    Column("change_counter", BigInteger, nullable=False, comment="of the file, when it was read"),
    Column("figures", JSONB, nullable=False),
    Column("imported_at", MOMENT, nullable=False, server_default=func.now()),
    Column("looked_at", MOMENT, comment="when all that the file had was last known to be imported"),
    comment="the last import of each file of queues",
)

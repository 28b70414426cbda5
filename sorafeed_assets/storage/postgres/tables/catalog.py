"""Posts, their creators, the outbox of their changes, and the blocklist."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Identity,
    Integer,
    Table,
    Text,
    func,
    text,
)

from sorafeed_assets.storage.postgres.tables.common import FOLDED, MOMENT, metadata

creators = Table(
    "creators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("username", Text, nullable=False),
    Column("display_name", Text),
    Column("profile_picture_url", Text),
    Column("permalink", Text),
    Column("follower_count", Integer),
    Column("following_count", Integer),
    Column("post_count", Integer),
    Column("verified", Boolean, nullable=False, server_default=text("false")),
)

# No foreign key to creators: the scanner writes both in the order it finds them.
sora_posts = Table(
    "sora_posts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("creator_id", Text),
    Column("text", FOLDED),
    Column("posted_at", MOMENT, nullable=False),
    Column("permalink", Text),
    Column("video_url", Text),
    Column("video_url_md", Text),
    Column("thumbnail_url", Text),
    Column("gif_url", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("generation_id", Text),
    Column("task_id", Text),
    Column("indexed_at", MOMENT, nullable=False, server_default=func.now()),
    Column(
        "id_hash",
        BigInteger,
        Computed("('x' || left(md5(id), 16))::bit(64)::bigint", persisted=True),
        nullable=False,
        comment="the first 8 bytes of the id's MD5: the order that random picks start from",
    ),
    Column(
        "size_class",
        Text,
        Computed(
            "CASE WHEN width > height AND height > 0 THEN 'wide'"
            " WHEN height > width AND width > 0 THEN 'tall' ELSE 'other' END",
            persisted=True,
        ),
        nullable=False,
    ),
    CheckConstraint("id <> ''", name="id_filled"),
    CheckConstraint("width >= 0 AND height >= 0", name="size"),
    CheckConstraint("isfinite(posted_at) AND isfinite(indexed_at)", name="times_finite"),
    # Python has no other years. A scanner that takes milliseconds for seconds writes such times.
    CheckConstraint(
        "posted_at >= '0001-01-02 00:00+00' AND posted_at < '9999-12-31 00:00+00'"
        " AND indexed_at >= '0001-01-02 00:00+00' AND indexed_at < '9999-12-31 00:00+00'",
        name="times_known",
    ),
    # Texts are stored in their rows, because a search mostly reads long texts that do not match.
    postgresql_with={"toast_tuple_target": 8160},
)

catalog_changes = Table(
    "catalog_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("catalog_day", Date, nullable=False),
    Column("post_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("old_text", FOLDED),
    Column("old_width", Integer),
    Column("old_height", Integer),
    Column("changed_at", MOMENT, nullable=False, server_default=func.now()),
    Column("old_creator_id", Text),
    CheckConstraint("kind IN ('insert', 'update', 'delete')", name="kind"),
    comment="outbox: what a counts refresh consumes, in the transaction that applies it",
)

catalog_days = Table(
    "catalog_days",
    metadata,
    Column("catalog_day", Date, primary_key=True),
    Column("revision", BigInteger, nullable=False, comment="how many changes were applied"),
    Column("post_count", BigInteger, nullable=False),
    Column("counted_at", MOMENT, nullable=False),
    comment="per day: how far counting has come",
)

blocklist = Table(
    "blocklist",
    metadata,
    Column("kind", Text, primary_key=True, comment="post, or creator for all posts of one"),
    Column("target_id", Text, primary_key=True, comment="the id of the post or creator"),
    Column("excluded_at", MOMENT, nullable=False, server_default=func.now()),
    Column("excluded_by", Text, nullable=False, comment="the name of the token, or the command"),
    Column(
        "note", Text, nullable=False, server_default=text("''"), comment="the reason, for people"
    ),
    CheckConstraint("kind IN ('post', 'creator')", name="kind"),
    CheckConstraint("target_id <> ''", name="target_id_filled"),
    comment="posts and creators that no display plays",
)

# Written by counting alone, so that each change of the blocklist is applied once.
counted_blocklist = Table(
    "counted_blocklist",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("target_id", Text, primary_key=True),
    comment="the blocklist that counts and pools follow now",
)

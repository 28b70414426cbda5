"""Plans, queues and plays."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.storage.postgres.tables.common import (
    MOMENT,
    UPDATED_OFTEN,
    created_at,
    id_column,
    metadata,
)

timeline_builds = Table(
    "timeline_builds",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), nullable=False),
    Column("playlist_id", Uuid, nullable=False),
    Column("playlist_version", Text, nullable=False),
    Column("loop_iteration", Integer, nullable=False),
    Column("inputs", JSONB, nullable=False, comment="what the plan was made from"),
    Column("plan", JSONB, nullable=False, comment="every position: block, post, reason"),
    Column("dry_blocks", JSONB, nullable=False, server_default=text("'[]'")),
    Column("content_hash", Text, nullable=False),
    created_at(),
    Column(
        "planner",
        Text,
        nullable=False,
        server_default=text("'in_order'"),
        comment="the planner that made the plan",
    ),
    UniqueConstraint("display_id", "id"),
)

timeline_videos = Table(
    "timeline_videos",
    metadata,
    id_column(),
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), nullable=False),
    Column("build_id", BigInteger, nullable=False),
    Column("playlist_id", ForeignKey("playlists.id", ondelete="CASCADE"), nullable=False),
    Column("block_id", Uuid, nullable=False),
    Column("video_id", Text, nullable=False),
    Column("block_position", Integer, nullable=False),
    Column("timeline_position", Integer, nullable=False),
    Column("loop_iteration", Integer, nullable=False),
    Column("queue_slot", SmallInteger, nullable=False, comment="bounds a queue to ten rows"),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    Column("played_at", MOMENT),
    Column("video_data", JSONB, nullable=False),
    created_at(),
    CheckConstraint("status IN ('queued', 'playing', 'played', 'skipped')", name="status"),
    CheckConstraint("queue_slot BETWEEN 0 AND 9", name="queue_slot"),
    CheckConstraint(
        "block_position >= 0 AND timeline_position >= 0 AND loop_iteration >= 0", name="positions"
    ),
    UniqueConstraint("display_id", "queue_slot", deferrable=True, initially="DEFERRED"),
    UniqueConstraint("display_id", "loop_iteration", "timeline_position"),
    Index("timeline_videos_playlist_id_idx", "playlist_id"),
    # A queue row of a build that is not the display's active one cannot be committed.
    ForeignKeyConstraint(
        ["display_id", "build_id"],
        ["displays.id", "displays.active_build_id"],
        name="timeline_videos_active_build_fkey",
        deferrable=True,
        initially="DEFERRED",
    ),
    postgresql_with=UPDATED_OFTEN,
)

play_hours = Table(
    "play_hours",
    metadata,
    Column("hour", MOMENT, primary_key=True, comment="its start"),
    Column("plays", BigInteger, nullable=False),
    Column("skips", BigInteger, nullable=False, comment="plays that were skipped"),
    Column(
        "repeats",
        BigInteger,
        nullable=False,
        comment="plays of a video that the display had played before",
    ),
    comment="how much was played, by hour",
)

# No foreign keys, because plays outlive displays, playlists, blocks and posts.
video_history = Table(
    "video_history",
    metadata,
    id_column(),
    Column("display_id", Text, nullable=False),
    Column("video_id", Text, nullable=False),
    Column("block_id", Uuid),
    Column("loop_iteration", Integer, nullable=False),
    Column("played_at", MOMENT, nullable=False, server_default=func.now()),
    Column("timeline_video_id", Uuid, comment="the queue row that was played; null if imported"),
    Column("was_skipped", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("timeline_video_id"),
)

# No foreign key, so that storing a duration waits for no change of posts.
post_durations = Table(
    "post_durations",
    metadata,
    Column("post_id", Text, primary_key=True),
    Column("duration_ms", Integer, nullable=False),
    Column("told_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("duration_ms BETWEEN 100 AND 86400000", name="duration"),
    Index("post_durations_told_at_idx", "told_at"),
    comment="how long videos are, as players told it last",
)

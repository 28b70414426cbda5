"""Displays, playlists, blocks, and what is still to be settled of them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIME

from sorafeed_assets.storage.postgres.tables.common import (
    MOMENT,
    UPDATED_OFTEN,
    created_at,
    id_column,
    metadata,
)

displays = Table(
    "displays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    created_at(),
    Column("last_ping", MOMENT),
    Column("status", Text, nullable=False, server_default=text("'offline'")),
    Column("current_video_id", Text),
    Column("current_position", Integer),
    Column("current_block_id", Uuid),
    Column("current_timeline_video_id", Uuid),
    Column("current_playlist_id", Uuid),
    Column("timeline_position", Integer, nullable=False, server_default=text("0")),
    Column("commands", JSONB, nullable=False, server_default=text("'[]'")),
    Column("playback_state", Text, nullable=False, server_default=text("'idle'")),
    Column("is_playing", Boolean, nullable=False, server_default=text("false")),
    Column("is_muted", Boolean, nullable=False, server_default=text("true")),
    Column("video_position", Double, nullable=False, server_default=text("0")),
    Column("last_state_change", MOMENT),
    Column("last_video_start_time", MOMENT),
    Column("dedup_since", MOMENT, nullable=False, server_default=func.now()),
    Column("loop_iteration", Integer, nullable=False, server_default=text("0")),
    Column("active_build_id", BigInteger),
    Column(
        "plan_problem",
        Text,
        comment="why its active playlist could not be planned when that was last tried",
    ),
    CheckConstraint("id ~ '^[A-Z0-9]{6}$'", name="id_code"),
    CheckConstraint("btrim(name) <> ''", name="name_filled"),
    CheckConstraint("status IN ('online', 'offline')", name="status"),
    CheckConstraint(
        "playback_state IN ('idle', 'playing', 'paused', 'loading')", name="playback_state"
    ),
    CheckConstraint("timeline_position >= 0 AND loop_iteration >= 0", name="position"),
    UniqueConstraint("id", "active_build_id"),
    Index("displays_active_build_id_idx", "active_build_id"),
    ForeignKeyConstraint(
        ["active_build_id"],
        ["timeline_builds.id"],
        name="displays_active_build_id_fkey",
        use_alter=True,
        deferrable=True,
        initially="DEFERRED",
    ),
    postgresql_with=UPDATED_OFTEN,
)

display_tags = Table(
    "display_tags",
    metadata,
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True, comment="a word in lower case"),
    CheckConstraint(r"tag ~ '^[^\s,]{1,40}$'", name="tag"),
    Index("display_tags_tag_idx", "tag"),
    comment="words by which people choose displays",
)

display_remotes = Table(
    "display_remotes",
    metadata,
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), primary_key=True),
    Column("volume", Integer, nullable=False, server_default=text("100"), comment="in percent"),
    Column(
        "sound_id", Uuid, comment="new whenever the sound is told, so that a player obeys it once"
    ),
    Column("seek_id", Uuid, comment="new for each seek, so that a player obeys it once"),
    Column("seek_entry", Uuid, comment="the queue row that it is for"),
    Column("seek_seconds", Double),
    Column("reported", JSONB, comment="what the player last said that it does"),
    Column("reported_at", MOMENT),
    CheckConstraint("volume BETWEEN 0 AND 100", name="volume"),
    comment="the volume and the place that players are told, and what they report",
    postgresql_with=UPDATED_OFTEN,
)

templates = Table(
    "templates",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    created_at(),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("btrim(name) <> ''", name="name_filled"),
    comment="playlists that many displays follow: each has a copy, kept equal by every edit",
)

template_blocks = Table(
    "template_blocks",
    metadata,
    Column("template_id", ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True),
    Column("block_order", Integer, primary_key=True),
    Column("search_term", Text, nullable=False),
    Column("video_count", Integer, nullable=False),
    Column("fetch_mode", Text, nullable=False),
    Column("format", Text, nullable=False),
    CheckConstraint("video_count BETWEEN 1 AND 500", name="video_count"),
    CheckConstraint("fetch_mode IN ('newest', 'random')", name="fetch_mode"),
    CheckConstraint("format IN ('mixed', 'wide', 'tall')", name="format"),
    CheckConstraint("block_order >= 0", name="block_order"),
)

playlists = Table(
    "playlists",
    metadata,
    id_column(),
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    created_at(),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Column("is_active", Boolean, nullable=False, server_default=text("false")),
    Column(
        "is_new",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="true until activation has decided about it",
    ),
    Column("total_blocks", Integer, nullable=False, server_default=text("0")),
    Column("total_videos", Integer, nullable=False, server_default=text("0")),
    Column("loop_count", Integer, nullable=False, server_default=text("0")),
    Column(
        "template_id",
        ForeignKey("templates.id", ondelete="SET NULL"),
        comment="the template that it follows",
    ),
    CheckConstraint("btrim(name) <> ''", name="name_filled"),
    Index(
        "playlists_one_active_idx", "display_id", unique=True, postgresql_where=text("is_active")
    ),
    Index("playlists_display_id_created_at_idx", "display_id", "created_at", "id"),
    Index(
        "playlists_template_id_idx",
        "template_id",
        postgresql_where=text("template_id IS NOT NULL"),
    ),
)

playlist_blocks = Table(
    "playlist_blocks",
    metadata,
    id_column(),
    Column("playlist_id", ForeignKey("playlists.id", ondelete="CASCADE"), nullable=False),
    Column("search_term", Text, nullable=False),
    Column("video_count", Integer, nullable=False),
    Column("fetch_mode", Text, nullable=False, server_default=text("'random'")),
    Column("format", Text, nullable=False, server_default=text("'mixed'")),
    Column("block_order", Integer, nullable=False),
    created_at(),
    Column("times_played", Integer, nullable=False, server_default=text("0")),
    Column("last_played_at", MOMENT),
    CheckConstraint("char_length(search_term) <= 200", name="search_term_length"),
    CheckConstraint(r"search_term ~ '(^|\s)[^-\s]'", name="search_term_words"),
    CheckConstraint(r"search_term !~ '(^|\s)-(\s|$)'", name="search_term_dashes"),
    CheckConstraint("video_count BETWEEN 1 AND 500", name="video_count"),
    CheckConstraint("fetch_mode IN ('newest', 'random')", name="fetch_mode"),
    CheckConstraint("format IN ('mixed', 'wide', 'tall')", name="format"),
    CheckConstraint("block_order >= 0", name="block_order"),
    # Deferrable, so that two blocks can swap places in one transaction.
    UniqueConstraint("playlist_id", "block_order", deferrable=True, initially="IMMEDIATE"),
    postgresql_with=UPDATED_OFTEN,
)

time_slots = Table(
    "time_slots",
    metadata,
    id_column(),
    Column("playlist_id", ForeignKey("playlists.id", ondelete="CASCADE"), nullable=False),
    Column(
        "days",
        ARRAY(SmallInteger),
        nullable=False,
        comment="of the week on which it begins, from 1, Monday, to 7",
    ),
    Column("starts", TIME(precision=0), nullable=False, comment="by the clock of its time zone"),
    Column(
        "ends", TIME(precision=0), nullable=False, comment="on the next day, unless after it starts"
    ),
    Column("time_zone", Text, nullable=False, comment="such as Europe/Vienna"),
    Column("first_day", Date, comment="on which it begins; null for no bound"),
    Column("last_day", Date, comment="on which it begins; null for no bound"),
    Column(
        "priority",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="of slots that overlap the highest wins, then the one that began last",
    ),
    created_at(),
    CheckConstraint(
        "array_ndims(days) = 1 AND cardinality(days) BETWEEN 1 AND 7"
        " AND days <@ ARRAY[1, 2, 3, 4, 5, 6, 7]::smallint[]",
        name="days",
    ),
    CheckConstraint("starts < '24:00' AND ends < '24:00'", name="times"),
    CheckConstraint("first_day <= last_day", name="dates"),
    CheckConstraint("priority BETWEEN 0 AND 100", name="priority"),
    Index("time_slots_playlist_id_idx", "playlist_id"),
    comment="when a playlist is active by the clock",
)

timetables = Table(
    "timetables",
    metadata,
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "base_id",
        ForeignKey("playlists.id", ondelete="SET NULL"),
        comment="the playlist that is active outside the time slots",
    ),
    Column(
        "held_since",
        MOMENT,
        comment="when its active playlist was activated by hand, to stay until the next switch",
    ),
    Column("due_at", MOMENT, comment="its next switch, or when to look for it again"),
    Column(
        "decided_at",
        MOMENT,
        nullable=False,
        server_default=text("clock_timestamp()"),
        comment="by the database's clock",
    ),
    Index("timetables_base_id_idx", "base_id"),
    Index("timetables_due_at_idx", "due_at"),
    Index("timetables_decided_at_idx", "decided_at"),
    comment="the displays whose playlists have time slots",
)

display_terms = Table(
    "display_terms",
    metadata,
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), primary_key=True),
    Column("term", Text, primary_key=True),
    Index("display_terms_term_idx", "term"),
    comment="the normalized searches of a display's playlists, as of its last settling",
)

display_changes = Table(
    "display_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("display_id", Text, nullable=False),
    Column("changed_at", MOMENT, nullable=False, server_default=text("clock_timestamp()")),
    Column(
        "is_urgent",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="false when only new posts changed what the display may play",
    ),
    Index("display_changes_display_id_idx", "display_id"),
    comment="outbox: displays that have to be settled; removed by the transaction that settles"
    " them",
)

# No foreign keys, because what it names is gone.
deletions = Table(
    "deletions",
    metadata,
    id_column(),
    Column("display_id", Text, nullable=False, comment="the deleted display, or the playlist's"),
    Column("playlist_id", Uuid, comment="the deleted playlist; null for a whole display"),
    Column("name", Text, nullable=False),
    Column("was_active", Boolean, nullable=False, comment="whether the playlist was active"),
    Column("rows", JSONB, nullable=False, comment="table: its deleted rows"),
    Column("deleted_at", MOMENT, nullable=False, server_default=text("clock_timestamp()")),
    Index("deletions_deleted_at_idx", "deleted_at", "id"),
    comment="deleted displays and playlists as they were, to be restored; kept for 30 days",
)

"""Every table and index as SQLAlchemy Core metadata; the migrations build exactly this."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

# The builtin collation whose case rules `domain.catalog.search.fold` follows.
_FOLDED = Text(collation="pg_c_utf8")
_MOMENT = DateTime(timezone=True)


def _now() -> Column[object]:
    return Column("created_at", _MOMENT, nullable=False, server_default=func.now())


def _id() -> Column[object]:
    return Column("id", Uuid, primary_key=True, server_default=text("uuidv7()"))


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
    Column("text", _FOLDED),
    Column("posted_at", _MOMENT, nullable=False),
    Column("permalink", Text),
    Column("video_url", Text),
    Column("video_url_md", Text),
    Column("thumbnail_url", Text),
    Column("gif_url", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("generation_id", Text),
    Column("task_id", Text),
    Column("indexed_at", _MOMENT, nullable=False, server_default=func.now()),
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
    Column("old_text", _FOLDED),
    Column("old_width", Integer),
    Column("old_height", Integer),
    Column("changed_at", _MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('insert', 'update', 'delete')", name="kind"),
    comment="outbox: what a counts refresh consumes, in the transaction that applies it",
)

catalog_days = Table(
    "catalog_days",
    metadata,
    Column("catalog_day", Date, primary_key=True),
    Column("revision", BigInteger, nullable=False, comment="how many changes were applied"),
    Column("post_count", BigInteger, nullable=False),
    Column("counted_at", _MOMENT, nullable=False),
    comment="per day: how far counting has come",
)

# Room in each page, so that a new version of a row needs no new index entries.
_UPDATED_OFTEN: Final = {"fillfactor": 70}

displays = Table(
    "displays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    _now(),
    Column("last_ping", _MOMENT),
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
    Column("last_state_change", _MOMENT),
    Column("last_video_start_time", _MOMENT),
    Column("dedup_since", _MOMENT, nullable=False, server_default=func.now()),
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
    ForeignKeyConstraint(
        ["active_build_id"],
        ["timeline_builds.id"],
        name="displays_active_build_id_fkey",
        use_alter=True,
        deferrable=True,
        initially="DEFERRED",
    ),
    postgresql_with=_UPDATED_OFTEN,
)

playlists = Table(
    "playlists",
    metadata,
    _id(),
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    _now(),
    Column("updated_at", _MOMENT, nullable=False, server_default=func.now()),
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
    CheckConstraint("btrim(name) <> ''", name="name_filled"),
    Index(
        "playlists_one_active_idx", "display_id", unique=True, postgresql_where=text("is_active")
    ),
    Index("playlists_display_id_created_at_idx", "display_id", "created_at", "id"),
)

playlist_blocks = Table(
    "playlist_blocks",
    metadata,
    _id(),
    Column("playlist_id", ForeignKey("playlists.id", ondelete="CASCADE"), nullable=False),
    Column("search_term", Text, nullable=False),
    Column("video_count", Integer, nullable=False),
    Column("fetch_mode", Text, nullable=False, server_default=text("'random'")),
    Column("format", Text, nullable=False, server_default=text("'mixed'")),
    Column("block_order", Integer, nullable=False),
    _now(),
    Column("times_played", Integer, nullable=False, server_default=text("0")),
    Column("last_played_at", _MOMENT),
    CheckConstraint("char_length(search_term) <= 200", name="search_term_length"),
    CheckConstraint(r"search_term ~ '(^|\s)[^-\s]'", name="search_term_words"),
    CheckConstraint(r"search_term !~ '(^|\s)-(\s|$)'", name="search_term_dashes"),
    CheckConstraint("video_count BETWEEN 1 AND 500", name="video_count"),
    CheckConstraint("fetch_mode IN ('newest', 'random')", name="fetch_mode"),
    CheckConstraint("format IN ('mixed', 'wide', 'tall')", name="format"),
    CheckConstraint("block_order >= 0", name="block_order"),
    # Deferrable, so that two blocks can swap places in one transaction.
    UniqueConstraint("playlist_id", "block_order", deferrable=True, initially="IMMEDIATE"),
    postgresql_with=_UPDATED_OFTEN,
)

search_terms = Table(
    "search_terms",
    metadata,
    Column("term", Text, primary_key=True, comment="the normalized query"),
    Column("phrase", Text, nullable=False),
    Column("exclusions", JSONB, nullable=False, server_default=text("'[]'")),
    _now(),
    Column("counted_at", _MOMENT, comment="null until counted over the whole catalogue"),
    CheckConstraint("char_length(term) BETWEEN 1 AND 200", name="term_length"),
)

video_counts_daily = Table(
    "video_counts_daily",
    metadata,
    Column("term", ForeignKey("search_terms.term", ondelete="CASCADE"), primary_key=True),
    Column("format", Text, primary_key=True),
    Column("catalog_day", Date, primary_key=True),
    Column("count", BigInteger, nullable=False),
    CheckConstraint("format IN ('mixed', 'wide', 'tall')", name="format"),
    CheckConstraint("count > 0", name="count"),
    Index("video_counts_daily_catalog_day_idx", "catalog_day"),
    comment="sparse: a counted term without a row for a day has no match on it",
)

# The pools: for each term, shape and order, the first K posts.
video_candidates = Table(
    "video_candidates",
    metadata,
    Column("term", ForeignKey("search_terms.term", ondelete="CASCADE"), primary_key=True),
    Column("size_class", Text, primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("post_id", Text, primary_key=True),
    Column("posted_at", _MOMENT, nullable=False),
    Column("id_hash", BigInteger, nullable=False),
    CheckConstraint("size_class IN ('wide', 'tall', 'other')", name="size_class"),
    CheckConstraint("pool IN ('newest', 'random')", name="pool"),
    Index("video_candidates_post_id_idx", "post_id"),
    Index(
        "video_candidates_newest_idx",
        *("term", "size_class", "posted_at", "post_id"),
        postgresql_where=text("pool = 'newest'"),
    ),
    Index(
        "video_candidates_random_idx",
        *("term", "size_class", "id_hash", "post_id"),
        postgresql_where=text("pool = 'random'"),
    ),
)

# Written by the triggers of video_candidates: sizes and versions without reading all candidates.
candidate_pools = Table(
    "candidate_pools",
    metadata,
    Column("term", Text, primary_key=True),
    Column("size_class", Text, primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("posts", BigInteger, nullable=False),
    Column("digest", BigInteger, nullable=False, comment="of the posts, whatever their order"),
    CheckConstraint("posts > 0", name="posts"),
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
    _now(),
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
    _id(),
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
    Column("played_at", _MOMENT),
    Column("video_data", JSONB, nullable=False),
    _now(),
    CheckConstraint("status IN ('queued', 'playing', 'played', 'skipped')", name="status"),
    CheckConstraint("queue_slot BETWEEN 0 AND 9", name="queue_slot"),
    CheckConstraint(
        "block_position >= 0 AND timeline_position >= 0 AND loop_iteration >= 0", name="positions"
    ),
    UniqueConstraint("display_id", "queue_slot", deferrable=True, initially="DEFERRED"),
    UniqueConstraint("display_id", "loop_iteration", "timeline_position"),
    # A queue row of a build that is not the display's active one cannot be committed.
    ForeignKeyConstraint(
        ["display_id", "build_id"],
        ["displays.id", "displays.active_build_id"],
        name="timeline_videos_active_build_fkey",
        deferrable=True,
        initially="DEFERRED",
    ),
    postgresql_with=_UPDATED_OFTEN,
)

# No foreign keys, because plays outlive displays, playlists, blocks and posts.
video_history = Table(
    "video_history",
    metadata,
    _id(),
    Column("display_id", Text, nullable=False),
    Column("video_id", Text, nullable=False),
    Column("block_id", Uuid),
    Column("loop_iteration", Integer, nullable=False),
    Column("played_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("timeline_video_id", Uuid, comment="the queue row that was played; null if imported"),
    Column("was_skipped", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("timeline_video_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    _id(),
    Column("role", Text, nullable=False),
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("token_hash", Text, nullable=False, comment="SHA-256 of the token, which is not kept"),
    _now(),
    Column("expires_at", _MOMENT),
    Column("revoked_at", _MOMENT),
    CheckConstraint("role IN ('admin', 'reader', 'display')", name="role"),
    CheckConstraint("(role = 'display') = (display_id IS NOT NULL)", name="display"),
    CheckConstraint("btrim(name) <> ''", name="name_filled"),
    UniqueConstraint("token_hash"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("token_id", ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_digest", Text, nullable=False),
    Column(
        "running_until",
        _MOMENT,
        nullable=False,
        comment="prolonged by the server that executes the request;"
        " past without an answer, the outcome is unknown",
    ),
    Column("answer", Text, comment="JSON as it was sent; null until the request is over"),
    _now(),
    CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key_length"),
    Index("idempotency_keys_created_at_idx", "created_at"),
    comment="requests that clients may repeat: a repeat gets the first answer; kept for a day",
)

count_jobs = Table(
    "count_jobs",
    metadata,
    Column("term", ForeignKey("search_terms.term", ondelete="CASCADE"), primary_key=True),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("run_after", _MOMENT, nullable=False, server_default=func.now()),
    Column("problem", Text, comment="why the last attempt failed"),
    _now(),
    CheckConstraint("attempts BETWEEN 0 AND 3", name="attempts"),
    comment="terms that somebody waits for: counted ahead of the hourly refresh",
)

# A separate table, so that watching a term never writes a row that a count has locked.
watched_terms = Table(
    "watched_terms",
    metadata,
    Column("term", ForeignKey("search_terms.term", ondelete="CASCADE"), primary_key=True),
    _now(),
    comment="terms that are tracked though no playlist uses them; a table of its own, so that"
    " watching a term never writes the row that a count holds",
)

display_terms = Table(
    "display_terms",
    metadata,
    Column("display_id", ForeignKey("displays.id", ondelete="CASCADE"), primary_key=True),
    Column("term", Text, primary_key=True),
    Index("display_terms_term_idx", "term"),
    comment="the normalized searches of a display's playlists, as of its last settling",
)

count_digests = Table(
    "count_digests",
    metadata,
    Column("catalog_day", Date, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("digest", BigInteger, nullable=False, comment="of the rows, whatever their order"),
    comment="kept by the triggers of video_counts_daily: the version of a day without reading its"
    " counts",
)

display_changes = Table(
    "display_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("display_id", Text, nullable=False),
    Column("changed_at", _MOMENT, nullable=False, server_default=text("clock_timestamp()")),
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

# No foreign key: a display may be deleted while its figures are in use.
reactions = Table(
    "reactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("display_id", Text, nullable=False),
    Column("changed_at", _MOMENT, nullable=False),
    Column("queued_at", _MOMENT, nullable=False),
    Column("sent_at", _MOMENT, comment="when a page or player was sent the event of it first"),
    Column("started_at", _MOMENT, comment="when the player started a video first after it"),
    Column("is_observed", Boolean, nullable=False, server_default=text("false")),
    Index("reactions_display_id_idx", "display_id", "queued_at"),
    Index("reactions_queued_at_idx", "queued_at"),
    Index("reactions_not_observed_idx", "id", postgresql_where=text("NOT is_observed")),
    comment="how soon changes of displays were queued, told and started; kept for an hour",
)

lineage_records = Table(
    "lineage_records",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("asset", Text, nullable=False),
    Column("partition", Text, nullable=False, comment="empty for an asset without partitions"),
    Column("data_version", Text, nullable=False),
    Column("made_from", JSONB, nullable=False, comment="the data version of each upstream asset"),
    Column("metadata", JSONB, nullable=False),
    Column(
        "attempts",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="how often giving it to Dagster began",
    ),
    Column("created_at", _MOMENT, nullable=False, server_default=text("clock_timestamp()")),
    Column("recorded_at", _MOMENT),
    Index("lineage_records_asset_partition_id_idx", "asset", "partition", "id"),
    Index(
        "lineage_records_waiting_idx", "asset", "id", postgresql_where=text("recorded_at IS NULL")
    ),
    comment="what each asset's partition holds: the last row of a partition is true now, a row"
    " without recorded_at waits for Dagster",
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    comment="which process leads a kind of work, and until when",
)

legacy_cursors = Table(
    "legacy_cursors",
    metadata,
    Column("name", Text, primary_key=True, comment="creators or posts"),
    Column(
        "indexed_at",
        _MOMENT,
        comment="posts: of the last post that was copied; creators: when their copy began",
    ),
    Column("id", Text, nullable=False, server_default=text("''"), comment="of the last copied row"),
    Column("is_complete", Boolean, nullable=False, server_default=text("false")),
    Column("looked_at", _MOMENT, comment="when the old catalogue was last read to its end"),
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
    Column("compared_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("old_digest", Text, comment="of the part's rows there"),
    comment="the last comparison of each part of the catalogue with the old system's",
)

legacy_imports = Table(
    "legacy_imports",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, comment="of what both sides had then"),
    Column("imported_at", _MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('display', 'playlist', 'active', 'plays')", name="kind"),
    comment="what was imported from the old system's queues: tells which side changed since",
)

legacy_problems = Table(
    "legacy_problems",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("place", Text, primary_key=True),
    Column("problem", Text, primary_key=True),
    Column("found_at", _MOMENT, nullable=False, server_default=func.now()),
    comment="what the last import of the old system's queues did not import, and why",
)

legacy_queues = Table(
    "legacy_queues",
    metadata,
    Column("path", Text, primary_key=True),
    Column("change_counter", BigInteger, nullable=False, comment="of the file, when it was read"),
    Column("figures", JSONB, nullable=False),
    Column("imported_at", _MOMENT, nullable=False, server_default=func.now()),
    comment="the last import of each file of queues",
)

flag_versions = Table(
    "flag_versions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("flag", Text, nullable=False),
    Column("version", Integer, nullable=False, comment="counts the definitions of the flag"),
    Column("definition", JSONB, nullable=False, comment="in flagd's JSON"),
    Column("changed_by", Text, nullable=False, comment="a token's name or a command"),
    Column("reason", Text, nullable=False),
    Column("displays", Integer, nullable=False, comment="how many displays had another value then"),
    Column("changed_at", _MOMENT, nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("btrim(changed_by) <> '' AND btrim(reason) <> ''", name="texts_filled"),
    UniqueConstraint("flag", "version"),
    comment="every definition that a flag ever had; the last one is true now",
)

# No foreign key: a display that comes back has its value again.
flag_assignments = Table(
    "flag_assignments",
    metadata,
    Column("flag", Text, primary_key=True),
    Column("display_id", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="displays that keep the value of a share that has shrunk",
)

shadow_comparisons = Table(
    "shadow_comparisons",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="a search term, or a display"),
    Column("part", Text, nullable=False, server_default=text("''"), comment="of a count: format"),
    Column("outcome", Text, nullable=False),
    Column(
        "rules", JSONB, nullable=False, comment="names of the old system's faults that explain it"
    ),
    Column("detail", Text, nullable=False, comment="the differences in words"),
    Column("figures", JSONB, nullable=False, comment="counts and scores of both sides"),
    Column("old_seconds", Double, comment="what the old side took; null if it was not measured"),
    Column("our_seconds", Double),
    Column("old_statements", Integer),
    Column("our_statements", Integer),
    Column("compared_at", _MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('count', 'timeline', 'queue', 'plays', 'page')", name="kind"),
    CheckConstraint(
        "outcome IN ('same', 'expected', 'unexplained', 'not_compared')", name="outcome"
    ),
    Index(None, "compared_at"),
    Index("shadow_comparisons_kind_idx", "kind", "subject", "part", "compared_at"),
    comment="what comparing this system with the old one from the same state found",
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("name", Text, primary_key=True, comment="its name, for people"),
    Column("flag", Text, nullable=False, comment="the flag"),
    Column("value", Text, nullable=False, comment="what displays in the share get"),
    Column("steps", JSONB, nullable=False, comment="shares in percent, and seconds"),
    Column("signals", JSONB, nullable=False, comment="what is compared"),
    Column(
        "usual",
        JSONB,
        nullable=False,
        comment="signal, display: the part that went wrong in the hour before",
    ),
    Column("status", Text, nullable=False, comment="what it does"),
    Column("step", Integer, nullable=False, comment="its step, from 0"),
    Column("percent", Double, nullable=False, comment="the share that its flag must have"),
    Column("since", _MOMENT, nullable=False, comment="when the step began"),
    Column("reason", Text, nullable=False, comment="why it came here"),
    _now(),
    Column("evaluated_at", _MOMENT, comment="when it was last evaluated"),
    Column("verdict", Text, comment="of the last evaluation"),
    Column("comparisons", JSONB, comment="each signal of the last evaluation"),
    CheckConstraint(
        "status IN ('running', 'paused', 'forced', 'completed', 'rolled_back', 'stopped')",
        name="status",
    ),
    CheckConstraint("verdict IN ('pass', 'fail', 'inconclusive')", name="verdict"),
    CheckConstraint("percent BETWEEN 0 AND 100 AND step >= 0", name="place"),
    # A flag has one share, so it has one rollout at a time.
    Index(
        "rollouts_one_per_flag_idx",
        "flag",
        unique=True,
        postgresql_where=text("status IN ('running', 'paused', 'forced')"),
    ),
    comment="what is rolled out to a growing share of displays, and how far",
)

rollout_changes = Table(
    "rollout_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("rollout", ForeignKey("rollouts.name", ondelete="CASCADE"), nullable=False),
    Column("changed_at", _MOMENT, nullable=False),
    Column("changed_by", Text, nullable=False, comment="a token's name, a command, or the rollout"),
    Column("status", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("percent", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("displays", Integer, nullable=False, comment="how many displays had another value then"),
    Index("rollout_changes_rollout_idx", "rollout", "id"),
    comment="every step of every rollout",
)

play_failures = Table(
    "play_failures",
    metadata,
    Column("timeline_video_id", Uuid, primary_key=True, comment="of the play in video_history"),
    Column("display_id", Text, nullable=False),
    Column("failed_at", _MOMENT, nullable=False, server_default=func.now()),
    Index("play_failures_display_id_idx", "display_id", "failed_at"),
    Index("play_failures_failed_at_idx", "failed_at"),
    comment="plays whose video the player could not show; kept for a month",
)

display_requests = Table(
    "display_requests",
    metadata,
    Column("display_id", Text, primary_key=True),
    Column("minute", _MOMENT, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False, comment="those that failed at the server"),
    Index("display_requests_minute_idx", "minute"),
    comment="the requests of each display's player, by minute; kept for a day",
)

figures = Table(
    "figures",
    metadata,
    Column("minute", _MOMENT, primary_key=True),
    Column("low_queues", Integer, nullable=False, comment="displays with fewer than 3 videos"),
    Column("lineage_waiting", Integer, nullable=False, comment="records that wait for Dagster"),
    comment="what cannot be read from other tables later, by minute; kept for a day",
)

# Built CONCURRENTLY by the migrations, so that the scanner and the players are not blocked.
_posts = sora_posts.c
concurrent_indexes = (
    Index(
        "sora_posts_text_search_idx",
        text("to_tsvector('simple'::regconfig, text)"),
        postgresql_using="gin",
        _table=sora_posts,
    ),
    # Posts by trigrams: in the whole catalogue, or in a slice of the random or the newest order.
    Index(
        "sora_posts_search_idx",
        _posts.text,
        text("search_slices(id_hash, posted_at)"),
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
    ),
    Index("sora_posts_format_idx", _posts.size_class, _posts.posted_at, _posts.id),
    Index("sora_posts_posted_at_idx", _posts.posted_at, _posts.id),
    Index("sora_posts_indexed_at_idx", _posts.indexed_at),
    Index("sora_posts_id_hash_idx", _posts.id_hash, _posts.id),
    Index(
        "video_history_block_id_display_id_idx",
        video_history.c.block_id,
        video_history.c.display_id,
    ),
    Index(
        "video_history_display_id_played_at_idx",
        video_history.c.display_id,
        video_history.c.played_at,
        video_history.c.video_id,
    ),
    Index(
        "video_history_display_id_video_id_idx",
        video_history.c.display_id,
        video_history.c.video_id,
        video_history.c.played_at,
    ),
)

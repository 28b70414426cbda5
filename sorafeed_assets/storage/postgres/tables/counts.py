"""Terms, counts per day, pools, and the jobs that make them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.storage.postgres.tables.common import MOMENT, created_at, metadata

search_terms = Table(
    "search_terms",
    metadata,
    Column("term", Text, primary_key=True, comment="the normalized query"),
    Column("phrase", Text, nullable=False),
    Column("exclusions", JSONB, nullable=False, server_default=text("'[]'")),
    created_at(),
    Column("counted_at", MOMENT, comment="null until counted over the whole catalogue"),
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
    Column("posted_at", MOMENT, nullable=False),
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

count_jobs = Table(
    "count_jobs",
    metadata,
    Column("term", ForeignKey("search_terms.term", ondelete="CASCADE"), primary_key=True),
    Column("priority", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("run_after", MOMENT, nullable=False, server_default=func.now()),
    Column("problem", Text, comment="why the last attempt failed"),
    created_at(),
    CheckConstraint("attempts BETWEEN 0 AND 3", name="attempts"),
    comment="terms that somebody waits for: counted ahead of the hourly refresh",
)

# A separate table, so that watching a term never writes a row that a count has locked.
watched_terms = Table(
    "watched_terms",
    metadata,
    Column("term", ForeignKey("search_terms.term", ondelete="CASCADE"), primary_key=True),
    created_at(),
    comment="terms that are tracked though no playlist uses them; a table of its own, so that"
    " watching a term never writes the row that a count holds",
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

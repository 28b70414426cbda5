"""Flags, comparisons with the old system, rollouts, and their figures."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.storage.postgres.tables.common import MOMENT, created_at, metadata

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
    Column("changed_at", MOMENT, nullable=False, server_default=text("clock_timestamp()")),
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
    Column("compared_at", MOMENT, nullable=False, server_default=func.now()),
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
    Column("since", MOMENT, nullable=False, comment="when the step began"),
    Column("reason", Text, nullable=False, comment="why it came here"),
    created_at(),
    Column("evaluated_at", MOMENT, comment="when it was last evaluated"),
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
    Column("changed_at", MOMENT, nullable=False),
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
    Column("failed_at", MOMENT, nullable=False, server_default=func.now()),
    Index("play_failures_display_id_idx", "display_id", "failed_at"),
    Index("play_failures_failed_at_idx", "failed_at"),
    comment="plays whose video the player could not show; kept for a month",
)

display_requests = Table(
    "display_requests",
    metadata,
    Column("display_id", Text, primary_key=True),
    Column("minute", MOMENT, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False, comment="those that failed at the server"),
    Index("display_requests_minute_idx", "minute"),
    comment="the requests of each display's player, by minute; kept for a day",
)

figures = Table(
    "figures",
    metadata,
    Column("minute", MOMENT, primary_key=True),
    Column("low_queues", Integer, nullable=False, comment="displays with fewer than 3 videos"),
    Column("lineage_waiting", Integer, nullable=False, comment="records that wait for Dagster"),
    comment="what cannot be read from other tables later, by minute; kept for a day",
)

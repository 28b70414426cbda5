"""What is to be recorded in Dagster, and who leads."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.storage.postgres.tables.common import MOMENT, metadata

# No foreign key: a display may be deleted while its figures are in use.
reactions = Table(
    "reactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("display_id", Text, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
    Column("queued_at", MOMENT, nullable=False),
    Column("sent_at", MOMENT, comment="when a page or player was sent the event of it first"),
    Column("started_at", MOMENT, comment="when the player started a video first after it"),
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
    Column("created_at", MOMENT, nullable=False, server_default=text("clock_timestamp()")),
    Column("recorded_at", MOMENT),
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
    Column("expires_at", MOMENT, nullable=False),
    comment="which process leads a kind of work, and until when",
)

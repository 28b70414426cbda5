"""The backups that were made."""

from sqlalchemy import BigInteger, Column, Double, Identity, Table, Text, func

from sorafeed_assets.storage.postgres.tables.common import MOMENT, metadata

backups = Table(
    "backups",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("made_at", MOMENT, nullable=False, comment="the moment whose rows it has"),
    Column("folder", Text, nullable=False, comment="on the machine that made it"),
    Column("bytes", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False, comment="how long it took"),
    Column("finished_at", MOMENT, nullable=False, server_default=func.now()),
    comment="complete backups of this database and Dagster's; alerts watch the age of the last",
)

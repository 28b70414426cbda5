"""Runs the migrations on the connection that `storage.postgres.migrate` passes."""

from alembic import context

from sorafeed_assets.storage.postgres.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()

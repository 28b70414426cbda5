"""The Alembic migrations: one file per step, applied by `storage.postgres.migrate`."""

"""Alembic's side of the schema: one file per step, applied by `storage.migrate`."""

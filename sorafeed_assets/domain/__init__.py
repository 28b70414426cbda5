"""The rules: pure functions and values, no Dagster, no SQL, no Redis, no clock."""

"""Redis snapshots, which readers use instead of querying Postgres."""

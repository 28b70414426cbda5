"""Redis snapshots: what readers take instead of asking Postgres."""

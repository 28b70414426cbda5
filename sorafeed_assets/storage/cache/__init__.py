"""Redis: its client and keys, and the SQL that reads the snapshots to write."""

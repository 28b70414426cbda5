"""Dagster's table `runs`, read where Dagster itself is not imported.

The table is not a public interface; a test compares what is read with a real instance.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

# `update_timestamp` has an index, but may be local time: the day on top covers every zone.
_FAILED: Final = text("""
SELECT count(*) FROM runs
WHERE status = 'FAILURE'
  AND update_timestamp > CAST(now() AS timestamp) - CAST(:age AS interval) - interval '1 day'
  AND to_timestamp(end_time) > now() - CAST(:age AS interval)
""")


def count_failed_runs(connection: Connection, age: timedelta) -> int:
    """How many runs have failed within ``age``."""
    return int(connection.scalar(_FAILED, {"age": age}) or 0)

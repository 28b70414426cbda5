"""SQL of the count jobs: terms that are counted ahead of the hourly refresh."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

CHANNEL: Final = "sorafeed_count_jobs"
"""The NOTIFY channel of new jobs, without payload."""
MAX_ATTEMPTS: Final = 3

# A running job is not due before its lease ends, because its last attempt may succeed.
GIVEN_UP: Final = "(j.attempts >= :max AND j.run_after <= now())"
"""Whether the attempts of a job ``j`` have all failed, of ``:max``."""

PROBLEM: Final = """
coalesce(j.problem, CASE WHEN j.attempts > 0 AND j.run_after <= now() THEN 'was interrupted' END)
"""
"""Why a job's last attempt failed; NULL while it runs."""

# A repeated request keeps the higher priority, and restarts a job that was given up.
_ADD: Final = text(f"""
INSERT INTO count_jobs AS j (term, priority)
SELECT t.term, :priority FROM search_terms t
WHERE t.term = ANY(CAST(:terms AS text[])) AND t.counted_at IS NULL
ON CONFLICT (term) DO UPDATE
SET priority = greatest(j.priority, excluded.priority),
    attempts = CASE WHEN {GIVEN_UP} THEN 0 ELSE j.attempts END,
    run_after = CASE WHEN {GIVEN_UP} THEN now() ELSE j.run_after END,
    problem = CASE WHEN {GIVEN_UP} THEN NULL ELSE j.problem END
WHERE j.priority < excluded.priority OR {GIVEN_UP}
""")

_NOTIFY: Final = text(f"NOTIFY {CHANNEL}")

# All due jobs of the highest priority: one pass over the text counts many as fast as one.
_CLAIM: Final = text("""
UPDATE count_jobs SET attempts = attempts + 1,
    run_after = now() + make_interval(secs => :lease), problem = NULL
WHERE term IN (
    SELECT term FROM count_jobs
    WHERE attempts < :max AND run_after <= now()
      AND priority = (SELECT max(priority) FROM count_jobs
                      WHERE attempts < :max AND run_after <= now())
    ORDER BY term FOR UPDATE SKIP LOCKED
)
RETURNING term
""")

_RENEW: Final = text("""
UPDATE count_jobs SET run_after = now() + make_interval(secs => :lease)
WHERE term = ANY(CAST(:terms AS text[])) AND attempts > 0 AND problem IS NULL
""")

_FAILED: Final = text("""
UPDATE count_jobs
SET problem = :problem, run_after = CASE WHEN attempts >= :max THEN now()
    ELSE now() + make_interval(secs => 2 ^ attempts) END
WHERE term = ANY(CAST(:terms AS text[]))
""")

_DONE: Final = text("""
DELETE FROM count_jobs j USING search_terms t
WHERE t.term = j.term AND t.counted_at IS NOT NULL
""")

_PROBLEMS: Final = text(f"""
SELECT j.term, {PROBLEM} AS problem FROM count_jobs j WHERE {GIVEN_UP} ORDER BY j.term
""")


def add_jobs(connection: Connection, terms: Collection[str], priority: int) -> None:
    """Queue counts of those of ``terms`` that are tracked and not counted."""
    values = {"terms": sorted(terms), "priority": priority, "max": MAX_ATTEMPTS}
    if connection.execute(_ADD, values).rowcount:
        connection.execute(_NOTIFY)


def claim_jobs(connection: Connection, lease_seconds: float) -> list[str]:
    """Claim the most urgent due jobs; a job that outlasts the lease is due again."""
    return sorted(connection.scalars(_CLAIM, {"max": MAX_ATTEMPTS, "lease": lease_seconds}))


def renew_jobs(connection: Connection, terms: Collection[str], lease_seconds: float) -> None:
    """Extend the lease of claimed jobs."""
    connection.execute(_RENEW, {"terms": sorted(terms), "lease": lease_seconds})


def fail_jobs(connection: Connection, terms: Collection[str], problem: str) -> None:
    """Record a failed attempt; jobs with an attempt left are retried after a back-off."""
    values = {"terms": sorted(terms), "problem": problem, "max": MAX_ATTEMPTS}
    connection.execute(_FAILED, values)


def drop_done(connection: Connection) -> int:
    """Drop the jobs whose term is counted; returns how many."""
    return connection.execute(_DONE).rowcount


def given_up(connection: Connection) -> dict[str, str]:
    """Terms whose three attempts have failed, and why."""
    return {row.term: row.problem for row in connection.execute(_PROBLEMS, {"max": MAX_ATTEMPTS})}

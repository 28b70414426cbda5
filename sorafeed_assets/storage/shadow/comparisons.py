"""The stored results of comparing: written once, read by day and by display, pruned by age."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, text

from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.outcome import Finding, Outcome, Rule

COUNT: Final = "count"
TIMELINE: Final = "timeline"
QUEUE: Final = "queue"
PLAYS: Final = "plays"
PAGE: Final = "page"
UNFINISHED: Final = "unfinished"
"""The figure of a comparison that the end of its pass has cut off."""

_STORE: Final = text("""
INSERT INTO shadow_comparisons (kind, subject, part, outcome, rules, detail, figures,
    old_seconds, our_seconds, old_statements, our_statements)
SELECT kind, subject, part, outcome, rules, detail, figures, old_seconds, our_seconds,
    old_statements, our_statements
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (kind text, subject text, part text,
    outcome text, rules jsonb, detail text, figures jsonb, old_seconds double precision,
    our_seconds double precision, old_statements integer, our_statements integer)
""")
# What could not be compared is tried again after an hour, and what was cut off at once.
_DONE: Final = text("""
SELECT DISTINCT kind, subject, part FROM shadow_comparisons
WHERE compared_at >= date_trunc('day', now(), 'UTC')
  AND (outcome <> 'not_compared'
       OR (compared_at >= now() - interval '1 hour' AND NOT figures ? 'unfinished'))
""")
_UNFINISHED: Final = text("""
SELECT DISTINCT subject FROM shadow_comparisons
WHERE compared_at >= date_trunc('day', now(), 'UTC') - interval '1 day' AND figures ? 'unfinished'
""")
_NOT_COMPARED: Final = text("""
SELECT kind, subject, part, detail, compared_at
FROM (
    SELECT DISTINCT ON (kind, subject, part) kind, subject, part, detail, compared_at, outcome
    FROM shadow_comparisons WHERE compared_at >= date_trunc('day', now(), 'UTC')
    ORDER BY kind, subject, part, compared_at DESC, id DESC
) AS last
WHERE outcome = 'not_compared' ORDER BY compared_at DESC, kind, subject, part LIMIT :most
""")
_BY_DAY: Final = text("""
SELECT CAST(compared_at AT TIME ZONE 'UTC' AS date) AS day, kind, outcome, count(*) AS comparisons
FROM shadow_comparisons WHERE compared_at >= :since GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")
_BY_SUBJECT: Final = text("""
SELECT CAST(compared_at AT TIME ZONE 'UTC' AS date) AS day, subject, outcome,
    count(*) AS comparisons
FROM shadow_comparisons WHERE compared_at >= :since AND kind = ANY (CAST(:kinds AS text[]))
GROUP BY 1, 2, 3 ORDER BY 2, 1, 3
""")
_BY_RULE: Final = text("""
SELECT r.rule, count(*) AS comparisons
FROM shadow_comparisons AS c CROSS JOIN LATERAL jsonb_array_elements_text(c.rules) AS r (rule)
WHERE c.compared_at >= :since GROUP BY 1 ORDER BY 2 DESC, 1
""")
_UNEXPLAINED: Final = text("""
SELECT kind, subject, part, detail, compared_at FROM shadow_comparisons
WHERE compared_at >= :since AND outcome = 'unexplained' ORDER BY compared_at DESC, id DESC
LIMIT :most
""")
_OUTCOMES: Final = text("""
SELECT outcome, count(*) AS comparisons FROM shadow_comparisons
WHERE compared_at >= :since GROUP BY outcome
""")
_TIMES: Final = text("""
SELECT kind, old_seconds, our_seconds, old_statements, our_statements FROM shadow_comparisons
WHERE compared_at >= :since AND old_seconds IS NOT NULL AND our_seconds IS NOT NULL
  AND kind IN ('count', 'timeline', 'page')
ORDER BY id DESC LIMIT 100000
""")
_FIGURES: Final = text("""
SELECT DISTINCT ON (subject) figures FROM shadow_comparisons
WHERE kind = :kind AND compared_at >= :since ORDER BY subject, compared_at DESC, id DESC
""")
_COUNT_SECONDS: Final = text("""
SELECT DISTINCT ON (subject, part) subject, part, old_seconds FROM shadow_comparisons
WHERE kind = 'count' AND compared_at >= date_trunc('day', now(), 'UTC')
  AND old_seconds IS NOT NULL
ORDER BY subject, part, compared_at DESC
""")
_PRUNE: Final = text("""
DELETE FROM shadow_comparisons WHERE compared_at < now() - make_interval(days => :days)
""")
_VERSION: Final = text("""
SELECT max(id) AS last, count(*) AS comparisons,
    count(*) FILTER (WHERE outcome = 'same') AS same,
    count(*) FILTER (WHERE outcome = 'expected') AS expected,
    count(*) FILTER (WHERE outcome = 'unexplained') AS unexplained,
    count(*) FILTER (WHERE outcome = 'not_compared') AS not_compared
FROM shadow_comparisons
WHERE kind = ANY (CAST(:kinds AS text[])) AND compared_at >= date_trunc('day', now(), 'UTC')
""")


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison to be stored; costs are None where they were not measured."""

    kind: str
    subject: str
    finding: Finding
    part: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    old_cost: Cost | None = None
    our_cost: Cost | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What was compared."""
        return self.kind, self.subject, self.part


@dataclass(frozen=True, slots=True)
class Described:
    """A comparison and what it found, in words."""

    kind: str
    subject: str
    part: str
    detail: str
    compared_at: datetime

    @property
    def where(self) -> str:
        """What was compared: the kind, and of it the display or term, and the format."""
        return " ".join(filter(None, (self.kind, self.subject, self.part)))


@dataclass(frozen=True, slots=True)
class Times:
    """What both sides took for one comparison."""

    kind: str
    old_seconds: float
    our_seconds: float
    old_statements: int | None
    our_statements: int | None


def store(connection: Connection, found: Sequence[Compared]) -> None:
    """Store comparisons."""
    rows = [
        {
            "kind": each.kind,
            "subject": each.subject,
            "part": each.part,
            "outcome": each.finding.outcome.value,
            "rules": [rule.value for rule in each.finding.rules],
            "detail": each.finding.detail,
            "figures": dict(each.figures),
            "old_seconds": each.old_cost and each.old_cost.seconds,
            "our_seconds": each.our_cost and each.our_cost.seconds,
            "old_statements": each.old_cost and each.old_cost.statements,
            "our_statements": each.our_cost and each.our_cost.statements,
        }
        for each in found
    ]
    connection.execute(_STORE, {"rows": orjson.dumps(rows).decode()})


def done_today(connection: Connection) -> set[tuple[str, str, str]]:
    """(kind, subject, part) of what has not to be compared again today."""
    return {(row.kind, row.subject, row.part) for row in connection.execute(_DONE)}


def outcomes_by_day(
    connection: Connection, since: datetime
) -> dict[tuple[date, str], dict[Outcome, int]]:
    """(day, kind) → outcome → how many comparisons."""
    found: dict[tuple[date, str], dict[Outcome, int]] = {}
    for row in connection.execute(_BY_DAY, {"since": since}):
        found.setdefault((row.day, row.kind), {})[Outcome(row.outcome)] = row.comparisons
    return found


def outcomes_by_display(
    connection: Connection, since: datetime
) -> dict[str, dict[date, dict[Outcome, int]]]:
    """Display → day → outcome → how many comparisons."""
    found: dict[str, dict[date, dict[Outcome, int]]] = {}
    values = {"since": since, "kinds": [TIMELINE, QUEUE, PLAYS]}
    for row in connection.execute(_BY_SUBJECT, values):
        by_day = found.setdefault(row.subject, {}).setdefault(row.day, {})
        by_day[Outcome(row.outcome)] = row.comparisons
    return found


def outcomes_by_rule(connection: Connection, since: datetime) -> dict[Rule, int]:
    """Rule → how many comparisons it explains, the most frequent first."""
    rows = connection.execute(_BY_RULE, {"since": since})
    return {Rule(row.rule): row.comparisons for row in rows}


def unfinished_displays(connection: Connection) -> set[str]:
    """The displays that the end of a pass has cut off, since yesterday."""
    return set(connection.scalars(_UNFINISHED))


def not_compared_today(connection: Connection, most: int) -> list[Described]:
    """What was tried today, and was not compared at the last time; the newest first."""
    return [Described(*row) for row in connection.execute(_NOT_COMPARED, {"most": most})]


def unexplained(connection: Connection, since: datetime, most: int) -> list[Described]:
    """The last unexplained differences, the newest first."""
    rows = connection.execute(_UNEXPLAINED, {"since": since, "most": most})
    return [Described(*row) for row in rows]


def outcomes(connection: Connection, since: datetime) -> dict[Outcome, int]:
    """Outcome → how many comparisons."""
    rows = connection.execute(_OUTCOMES, {"since": since})
    return {Outcome(row.outcome): row.comparisons for row in rows}


def times(connection: Connection, since: datetime) -> list[Times]:
    """What both sides took for counts, timelines and pages; the last 100,000."""
    return [Times(*row) for row in connection.execute(_TIMES, {"since": since})]


def last_figures(connection: Connection, kind: str, since: datetime) -> list[Mapping[str, Any]]:
    """The figures of each display's last comparison of a kind."""
    return list(connection.scalars(_FIGURES, {"kind": kind, "since": since}))


def count_seconds(connection: Connection) -> dict[tuple[str, str], float]:
    """(term, format) → what the old count took today, where it ended in time."""
    rows = connection.execute(_COUNT_SECONDS)
    return {(row.subject, row.part): row.old_seconds for row in rows}


def prune(connection: Connection, days: int) -> int:
    """Delete what is older than this; returns how many."""
    return connection.execute(_PRUNE, {"days": days}).rowcount


def todays_figures(connection: Connection, kinds: Sequence[str]) -> dict[str, int]:
    """The last id of today's comparisons of these kinds, and how many had each outcome."""
    row = connection.execute(_VERSION, {"kinds": list(kinds)}).mappings().one()
    return {str(name): int(value or 0) for name, value in row.items()}

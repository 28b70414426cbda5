"""`rollouts` and `rollout_changes`: where each rollout stands, and how it came there."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, text

from sorafeed_assets.domain.rollouts.comparing import Comparison, Verdict
from sorafeed_assets.domain.rollouts.machine import Rollout, State, Status, Step
from sorafeed_assets.domain.rollouts.signals import Sample, Signal

_COLUMNS: Final = """
name, flag, value, steps, signals, usual, status, step, percent, since, reason, created_at,
evaluated_at, verdict, comparisons
"""

_LOAD: Final = text(f"""
SELECT {_COLUMNS} FROM rollouts
WHERE CAST(:name AS text) IS NULL OR name = :name
ORDER BY created_at DESC, name
""")

_LOCK: Final = text(f"SELECT {_COLUMNS} FROM rollouts WHERE name = :name FOR UPDATE")

_DUE: Final = text("""
SELECT name FROM rollouts
WHERE status IN ('running', 'paused', 'forced')
  AND (evaluated_at IS NULL OR evaluated_at <= :before)
ORDER BY name
""")

_NAMES: Final = text("SELECT name FROM rollouts")

_ADD: Final = text("""
INSERT INTO rollouts (name, flag, value, steps, signals, usual, status, step, percent, since,
    reason, created_at)
VALUES (:name, :flag, :value, CAST(:steps AS jsonb), CAST(:signals AS jsonb),
    CAST(:usual AS jsonb), :status, :step, :percent, :since, :reason, :since)
ON CONFLICT (name) DO NOTHING
""")

_UNENDED: Final = text("""
SELECT name FROM rollouts WHERE flag = :flag AND status IN ('running', 'paused', 'forced')
""")

_MOVE: Final = text("""
UPDATE rollouts
SET status = :status, step = :step, percent = :percent, since = :since, reason = :reason
WHERE name = :name
""")

_NOTE: Final = text("""
INSERT INTO rollout_changes (rollout, changed_at, changed_by, status, step, percent, reason,
    displays)
VALUES (:name, :at, :by, :status, :step, :percent, :reason, :displays)
""")

_EVALUATED: Final = text("""
UPDATE rollouts
SET evaluated_at = :at, verdict = :verdict, comparisons = CAST(:comparisons AS jsonb)
WHERE name = :name
""")

_HISTORY: Final = text("""
SELECT changed_at, changed_by, status, step, percent, reason, displays FROM rollout_changes
WHERE rollout = :name ORDER BY id DESC LIMIT :most
""")

Usual = Mapping[str, Mapping[str, float]]
"""Signal → display → the part that went wrong in the hour before the rollout."""


class StoredRollout(NamedTuple):
    """A rollout, where it stands, and its last evaluation, if there was one."""

    plan: Rollout
    state: State
    usual: Usual
    created_at: datetime
    evaluated_at: datetime | None
    verdict: Verdict | None
    comparisons: Sequence[Comparison]


class RolloutChange(NamedTuple):
    """A step of a rollout: who, when and why; ``displays`` had another value then."""

    changed_at: datetime
    changed_by: str
    status: Status
    step: int
    percent: float
    reason: str
    displays: int


def load_rollouts(connection: Connection, name: str | None = None) -> list[StoredRollout]:
    """All rollouts, the newest first; or the one of this name, if there is one."""
    return [_stored(row) for row in connection.execute(_LOAD, {"name": name})]


def rollout_names(connection: Connection) -> set[str]:
    """The name of every rollout."""
    return set(connection.scalars(_NAMES))


def lock_rollout(connection: Connection, name: str) -> StoredRollout | None:
    """A rollout, which no other transaction changes until this one ends."""
    row = connection.execute(_LOCK, {"name": name}).one_or_none()
    return None if row is None else _stored(row)


def due_rollouts(connection: Connection, before: datetime) -> list[str]:
    """The rollouts that have not ended, and were last evaluated then or earlier."""
    return list(connection.scalars(_DUE, {"before": before}))


def unended_rollout(connection: Connection, flag: str) -> str | None:
    """The rollout of a flag that has not ended."""
    found: str | None = connection.scalar(_UNENDED, {"flag": flag})
    return found


def add_rollout(connection: Connection, plan: Rollout, state: State, usual: Usual) -> bool:
    """Store a rollout; False when its name is taken."""
    values = {
        "name": plan.name,
        "flag": plan.flag,
        "value": plan.value,
        "steps": _json([[step.percent, step.duration.total_seconds()] for step in plan.steps]),
        "signals": _json(sorted(plan.signals)),
        "usual": _json({str(signal): rates for signal, rates in usual.items()}),
        **_place(state),
        "since": state.since,
    }
    return connection.execute(_ADD, values).rowcount == 1


def move_rollout(
    connection: Connection, name: str, state: State, at: datetime, by: str, displays: int
) -> None:
    """Store where a rollout stands now, and that it came there."""
    connection.execute(_MOVE, {"name": name, "since": state.since, **_place(state)})
    note_change(connection, name, state, at, by, displays)


def note_change(
    connection: Connection, name: str, state: State, at: datetime, by: str, displays: int
) -> None:
    """Add a line to a rollout's history."""
    values = {"name": name, "at": at, "by": by, "displays": displays, **_place(state)}
    connection.execute(_NOTE, values)


def store_evaluation(
    connection: Connection,
    name: str,
    at: datetime,
    verdict: Verdict,
    comparisons: Sequence[Comparison],
) -> None:
    """Store the last evaluation of a rollout."""
    found = [
        [c.signal, list(c.inside), list(c.outside), c.evidence, c.verdict, c.why]
        for c in comparisons
    ]
    values = {"name": name, "at": at, "verdict": verdict, "comparisons": _json(found)}
    connection.execute(_EVALUATED, values)


def load_changes(connection: Connection, name: str, most: int = 100) -> list[RolloutChange]:
    """The last changes of a rollout, the newest first."""
    return [
        RolloutChange(
            row.changed_at,
            row.changed_by,
            Status(row.status),
            row.step,
            row.percent,
            row.reason,
            row.displays,
        )
        for row in connection.execute(_HISTORY, {"name": name, "most": most})
    ]


def _place(state: State) -> dict[str, object]:
    return {
        "status": state.status,
        "step": state.step,
        "percent": state.percent,
        "reason": state.reason,
    }


def _stored(row: Any) -> StoredRollout:
    steps = tuple(Step(percent, timedelta(seconds=seconds)) for percent, seconds in row.steps)
    signals = frozenset(map(Signal, row.signals))
    return StoredRollout(
        Rollout(row.name, row.flag, row.value, steps, signals),
        State(Status(row.status), row.step, row.percent, row.since, row.reason),
        row.usual,
        row.created_at,
        row.evaluated_at,
        row.verdict and Verdict(row.verdict),
        [
            Comparison(Signal(name), Sample(*inside), Sample(*outside), found, Verdict(said), why)
            for name, inside, outside, found, said, why in row.comparisons or ()
        ],
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()

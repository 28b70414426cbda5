"""What comparing found: the gate, outcomes by day and display, what is unexplained, the costs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine

from sorafeed_assets.domain.shadow.costs import BeforeAfter, before_after
from sorafeed_assets.domain.shadow.gate import Gate, judge_gate
from sorafeed_assets.domain.shadow.outcome import MEANINGS, Outcome, Rule
from sorafeed_assets.domain.shadow.scores import WallScores, score_wall
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.shadow import comparisons as stored
from sorafeed_assets.storage.shadow.comparisons import Described, Times

_MOST: Final = 50
WORK: Final = {
    stored.COUNT: "count",
    stored.TIMELINE: "repopulate",
    stored.PAGE: "admin page",
}
"""Kind of comparison → the work whose cost it has."""

Outcomes = Mapping[Outcome, int]


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """The report of some days.

    Attributes:
        days: the days, in order.
        gate: of these days.
        by_day: day → outcome → how many comparisons.
        by_kind: kind → outcome → how many.
        by_display: display → day → outcome → how many.
        rules: rule → how many comparisons it explains.
        unexplained: the last unexplained differences.
        not_compared: what could not be compared today, and why.
        costs: work → before and after, in seconds.
        statements: work → the medians of statements, before and after.
        scores: of the old system's plans, queues and plays.
    """

    days: Sequence[date]
    gate: Gate
    by_day: Mapping[date, Outcomes]
    by_kind: Mapping[str, Outcomes]
    by_display: Mapping[str, Mapping[date, Outcomes]]
    rules: Mapping[Rule, int]
    unexplained: Sequence[Described]
    not_compared: Sequence[Described]
    costs: Mapping[str, BeforeAfter]
    statements: Mapping[str, tuple[int, int]]
    scores: WallScores

    def as_json(self) -> dict[str, Any]:
        """The figures, for programs; times are seconds, moments ISO 8601."""
        return {
            "gate": asdict(self.gate),
            "days": {day.isoformat(): _plain(self.by_day.get(day, {})) for day in self.days},
            "kinds": {kind: _plain(found) for kind, found in self.by_kind.items()},
            "displays": {
                display: {day.isoformat(): _plain(found) for day, found in days.items()}
                for display, days in self.by_display.items()
            },
            "rules": {
                rule.value: {"comparisons": n, "means": MEANINGS[rule]}
                for rule, n in self.rules.items()
            },
            "unexplained": [_described(each) for each in self.unexplained],
            "not_compared": [_described(each) for each in self.not_compared],
            "costs": {
                work: {
                    **asdict(cost),
                    "ratio": cost.ratio,
                    "statements": self.statements.get(work),
                }
                for work, cost in self.costs.items()
            },
            "old_system": {
                **asdict(self.scores),
                "repeats_per_hundred": round(self.scores.repeats_per_hundred, 1),
            },
        }


def _described(found: Described) -> dict[str, object]:
    return {**asdict(found), "compared_at": found.compared_at.isoformat()}


def shadow_report(engine: Engine, days: int) -> ShadowReport:
    """Report the last ``days`` days, today (UTC) included."""
    today = datetime.now(UTC).date()
    wanted = [today - timedelta(days=back) for back in reversed(range(days))]
    since = datetime(wanted[0].year, wanted[0].month, wanted[0].day, tzinfo=UTC)
    with snapshot(engine) as connection:
        found = stored.outcomes_by_day(connection, since)
        by_display = stored.outcomes_by_display(connection, since)
        rules = stored.outcomes_by_rule(connection, since)
        unexplained = stored.unexplained(connection, since, _MOST)
        missing = stored.not_compared_today(connection, _MOST)
        times = stored.times(connection, since)
        scores = score_wall(
            *(
                stored.last_figures(connection, kind, since)
                for kind in (stored.TIMELINE, stored.QUEUE, stored.PLAYS)
            )
        )
    by_day: dict[date, dict[Outcome, int]] = {}
    by_kind: dict[str, dict[Outcome, int]] = {}
    judged: dict[date, dict[str, Outcomes]] = {}
    for (day, kind), outcomes in found.items():
        judged.setdefault(day, {})[kind] = outcomes
        _add(by_day.setdefault(day, {}), outcomes)
        _add(by_kind.setdefault(kind, {}), outcomes)
    return ShadowReport(
        wanted,
        judge_gate(judged, today, days, (stored.COUNT, stored.TIMELINE)),
        by_day,
        by_kind,
        by_display,
        rules,
        unexplained,
        missing,
        _costs(times),
        _statements(times),
        scores,
    )


def shadow_gate(engine: Engine, days: int) -> Gate:
    """The gate of the last days."""
    return shadow_report(engine, days).gate


def _costs(times: Sequence[Times]) -> dict[str, BeforeAfter]:
    found = {}
    for kind, work in WORK.items():
        pairs = [(each.old_seconds, each.our_seconds) for each in times if each.kind == kind]
        cost = before_after(pairs)
        if cost is not None:
            found[work] = cost
    return found


def _statements(times: Sequence[Times]) -> dict[str, tuple[int, int]]:
    found = {}
    for kind, work in WORK.items():
        pairs = [
            (float(each.old_statements or 0), float(each.our_statements or 0))
            for each in times
            if each.kind == kind
        ]
        cost = before_after(pairs)
        if cost is not None:
            found[work] = (int(cost.before_median), int(cost.after_median))
    return found


def _add(total: dict[Outcome, int], more: Outcomes) -> None:
    for outcome, count in more.items():
        total[outcome] = total.get(outcome, 0) + count


def _plain(outcomes: Outcomes) -> dict[str, int]:
    return {outcome.value: outcomes.get(outcome, 0) for outcome in Outcome}


def unexplained_differences(
    engine: Engine, days: int, kinds: Collection[str]
) -> tuple[int, list[str]]:
    """How many comparisons of some kinds the last days have, and the unexplained ones in words."""
    report = shadow_report(engine, days)
    compared = sum(sum(report.by_kind.get(kind, {}).values()) for kind in kinds)
    return compared, [
        f"{' '.join(filter(None, (each.subject, each.part)))}: {each.detail}"
        for each in report.unexplained
        if each.kind in kinds
    ]

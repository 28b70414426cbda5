"""The gate before screens are switched over: no unexplained difference in some days."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from sorafeed_assets.domain.shadow.outcome import Outcome

Outcomes = Mapping[Outcome, int]
"""How many comparisons had each outcome."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the gate is open, and why it is not."""

    is_open: bool
    days: int
    unexplained: int
    reason: str


def judge_gate(by_day: Mapping[date, Outcomes], today: date, days: int) -> Gate:
    """Judge the last ``days`` days, today included.

    A day on which nothing was compared keeps the gate closed: it says nothing.
    """
    wanted = [today - timedelta(days=back) for back in reversed(range(days))]
    unexplained = sum(by_day.get(day, {}).get(Outcome.UNEXPLAINED, 0) for day in wanted)
    silent = [day for day in wanted if not _compared(by_day.get(day, {}))]
    if unexplained:
        reason = f"{unexplained} unexplained differences in the last {days} days"
    elif silent:
        named = f"{silent[0]}" + (f" and {len(silent) - 1} other days" if len(silent) > 1 else "")
        reason = f"nothing was compared on {named}"
    else:
        reason = f"no unexplained difference in the last {days} days"
    return Gate(not unexplained and not silent, days, unexplained, reason)


def _compared(outcomes: Outcomes) -> int:
    return sum(n for outcome, n in outcomes.items() if outcome is not Outcome.NOT_COMPARED)

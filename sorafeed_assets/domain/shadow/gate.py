"""The gate before screens are switched over: no unexplained difference in some days."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.domain.text import counted

Outcomes = Mapping[Outcome, int]
"""How many comparisons had each outcome."""

_LEAST: Final = 0.5
"""The share of a day's comparisons that has to come about."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the gate is open, and why it is not."""

    is_open: bool
    days: int
    unexplained: int
    reason: str


def judge_gate(
    by_day: Mapping[date, Mapping[str, Outcomes]],
    today: date,
    days: int,
    needed: Collection[str],
) -> Gate:
    """Judge the last ``days`` days, today included.

    A day keeps the gate closed on which less than half of the comparisons of a needed kind came
    about: it says nothing. A kind that was never tried is not needed, but one has to be.

    Args:
        by_day: day → kind → outcome → how many comparisons.
        today: the last day.
        days: how many days.
        needed: the kinds without which a day says nothing.
    """
    wanted = [today - timedelta(days=back) for back in reversed(range(days))]
    unexplained = sum(
        outcomes.get(Outcome.UNEXPLAINED, 0)
        for day in wanted
        for outcomes in by_day.get(day, {}).values()
    )
    tried = {kind for day in wanted for kind in by_day.get(day, {}) if kind in needed}
    silent = [
        day
        for day in wanted
        if not tried or any(not _says(by_day.get(day, {}).get(kind, {})) for kind in tried)
    ]
    last = "the last day" if days == 1 else f"the last {days} days"
    if unexplained:
        reason = f"{counted(unexplained, 'unexplained difference')} in {last}"
    elif silent:
        others = f" and {counted(len(silent) - 1, 'other day')}" if len(silent) > 1 else ""
        named = f"{silent[0]}{others}"
        reason = f"too little was compared on {named}"
    else:
        reason = f"no unexplained difference in {last}"
    return Gate(not unexplained and not silent, days, unexplained, reason)


def _says(outcomes: Outcomes) -> bool:
    tried = sum(outcomes.values())
    missing = outcomes.get(Outcome.NOT_COMPARED, 0)
    return tried > 0 and (tried - missing) / tried >= _LEAST

"""View models of the page about comparing with the old system: plots as rectangles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

from sorafeed_assets.domain.legacy.queues import Problem
from sorafeed_assets.domain.shadow.outcome import MEANINGS, Outcome
from sorafeed_assets.domain.shadow.scores import WallScores
from sorafeed_assets.services.shadow.report import Outcomes, ShadowReport
from sorafeed_assets.storage.shadow.comparisons import Described

DAYS: Final = 14
"""How many days the page shows."""
_HEIGHT: Final = 140
_BAR: Final = 34
_STEP: Final = 46
_CELL: Final = 18
_CELL_STEP: Final = 20
# The worst at the top of a bar, where it is seen.
_ORDER: Final = (Outcome.SAME, Outcome.EXPECTED, Outcome.NOT_COMPARED, Outcome.UNEXPLAINED)
_WORST: Final = (Outcome.UNEXPLAINED, Outcome.NOT_COMPARED, Outcome.EXPECTED, Outcome.SAME)


class Box(NamedTuple):
    """A rectangle of a plot; ``kind`` is its outcome."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


class Label(NamedTuple):
    """A text of a plot."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot in its own units."""

    width: int
    height: int
    boxes: Sequence[Box]
    labels: Sequence[Label]


@dataclass(frozen=True, slots=True)
class DisplayRow:
    """A display's days."""

    code: str
    plot: Plot
    worst: str


@dataclass(frozen=True, slots=True)
class ShadowView:
    """What the page shows; costs are (work, before, p95, after, p95, times faster)."""

    is_open: bool
    reason: str
    totals: Sequence[tuple[str, int]]
    by_day: Plot
    displays: Sequence[DisplayRow]
    rules: Sequence[tuple[str, int, str]]
    unexplained: Sequence[tuple[datetime, str, str]]
    not_compared: Sequence[tuple[datetime, str, str]]
    problems: Sequence[Problem]
    costs: Sequence[tuple[str, str, str, str, str, str]]
    scores: WallScores


def shadow_view(
    report: ShadowReport, gate: tuple[bool, str], problems: Sequence[Problem]
) -> ShadowView:
    """Build the page; ``gate`` is that of the gate's days, whatever the page shows.

    ``problems`` are those of the last import of the old queues.
    """
    totals: dict[Outcome, int] = {}
    for found in report.by_day.values():
        for outcome, count in found.items():
            totals[outcome] = totals.get(outcome, 0) + count
    is_open, reason = gate
    return ShadowView(
        is_open,
        reason,
        [(words(outcome), totals.get(outcome, 0)) for outcome in Outcome],
        _by_day(report.days, report.by_day),
        [_display(code, report.days, found) for code, found in sorted(report.by_display.items())],
        [(rule.value.replace("_", " "), n, MEANINGS[rule]) for rule, n in report.rules.items()],
        _described(report.unexplained),
        _described(report.not_compared),
        problems,
        [
            (
                work,
                _milliseconds(cost.before_median),
                _milliseconds(cost.before_p95),
                _milliseconds(cost.after_median),
                _milliseconds(cost.after_p95),
                f"{cost.ratio:,.1f}",
            )
            for work, cost in report.costs.items()
        ],
        report.scores,
    )


def _described(found: Sequence[Described]) -> list[tuple[datetime, str, str]]:
    return [(each.compared_at, each.where, each.detail) for each in found]


def words(outcome: Outcome) -> str:
    """An outcome in words."""
    return outcome.value.replace("_", " ")


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"


def _by_day(days: Sequence[date], by_day: Mapping[date, Outcomes]) -> Plot:
    """A bar a day, stacked by outcome; the highest has the full height."""
    most = max((sum(found.values()) for found in by_day.values()), default=0) or 1
    boxes = []
    for place, day in enumerate(days):
        y = float(_HEIGHT)
        for outcome in _ORDER:
            count = by_day.get(day, {}).get(outcome, 0)
            if count:
                # A single difference has to be seen beside thousands that are the same.
                height = max(_HEIGHT * count / most, 3.0)
                y -= height
                title = f"{day}: {count:,} {words(outcome)}"
                boxes.append(
                    Box(place * _STEP, round(y, 1), _BAR, round(height, 1), outcome, title)
                )
    labels = [Label(place * _STEP + _BAR / 2, f"{day:%d %b}") for place, day in enumerate(days)]
    top = min([0.0, *(box.y for box in boxes)])
    moved = [box._replace(y=box.y - top) for box in boxes]
    return Plot(len(days) * _STEP, round(_HEIGHT - top) + 20, moved, labels)


def _display(code: str, days: Sequence[date], found: Mapping[date, Outcomes]) -> DisplayRow:
    """A cell a day, of the worst outcome of the day."""
    boxes = []
    for place, day in enumerate(days):
        outcomes = found.get(day, {})
        worst = _worst(outcomes)
        if worst is not None:
            counts = ", ".join(
                f"{outcomes[each]} {words(each)}" for each in _WORST if each in outcomes
            )
            boxes.append(Box(place * _CELL_STEP, 0, _CELL, _CELL, worst, f"{day}: {counts}"))
    everything = {outcome: 1 for outcomes in found.values() for outcome in outcomes}
    worst = _worst(everything)
    return DisplayRow(
        code, Plot(len(days) * _CELL_STEP, _CELL, boxes, ()), "" if worst is None else words(worst)
    )


def _worst(outcomes: Mapping[Outcome, int]) -> Outcome | None:
    return next((outcome for outcome in _WORST if outcomes.get(outcome)), None)

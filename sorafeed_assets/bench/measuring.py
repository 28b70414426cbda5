"""Timing two ways in turn, and the rows of the table of results."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from sorafeed_assets.domain.errors import SorafeedError

Progress = Callable[[str, int, int], None]


class WrongResultError(SorafeedError):
    """A benchmark's two sides disagree, or a result is not valid: its times mean nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a row: at least a ratio, a ratio under a limit, or values under limits."""

    at_least: float | None = None
    ratio_under: float | None = None
    ours_under: float | None = None

    def is_met(self, ours: float, ratio: float | None) -> bool:
        """Whether measured figures reach the target."""
        return (
            (self.at_least is None or (ratio is not None and ratio >= self.at_least))
            and (self.ratio_under is None or (ratio is not None and ratio < self.ratio_under))
            and (self.ours_under is None or ours < self.ours_under)
        )

    def text(self, unit: str) -> str:
        """In words."""
        parts = []
        if self.at_least is not None:
            parts.append(f"≥ {self.at_least:g} × faster")
        if self.ratio_under is not None:
            parts.append(f"< {self.ratio_under:g} × the time")
        if self.ours_under is not None:
            parts.append(f"< {self.ours_under:g} {unit}")
        return ", ".join(parts) or "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, and of the JSON.

    ``ratio`` is the baseline's time as a multiple of ours; where the baseline is our own work at
    another size, ours as a multiple of that. ``spread`` is (largest - smallest) / median of ours.
    """

    name: str
    unit: str
    ours: float
    baseline: float | None
    ratio: float | None
    target: str
    met: bool
    runs: int
    spread: float

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def row(
    name: str,
    unit: str,
    ours: Sequence[float],
    target: Target,
    baseline: Sequence[float] = (),
    *,
    ours_is: Callable[[Sequence[float]], float] = median,
) -> Row:
    """A row of measured values; ``ours_is`` says which of ours counts, the median by default."""
    value = ours_is(ours)
    other = median(baseline) if baseline else None
    is_growth = target.ratio_under is not None
    ratio = None if other is None else (value / other if is_growth else other / value)
    return Row(
        name=name,
        unit=unit,
        ours=value,
        baseline=other,
        ratio=ratio,
        target=target.text(unit),
        met=target.is_met(value, ratio),
        runs=len(ours),
        spread=spread(ours),
    )


def spread(values: Sequence[float]) -> float:
    """(largest - smallest) / median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def percentile_95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return percentile(values, 0.95)


def percentile_99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return percentile(values, 0.99)


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(
    ours: Callable[[int], float], other: Callable[[int], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Measure A B A B: each function gets the number of the round and returns its seconds."""
    mine, theirs = [], []
    for number in range(rounds):
        mine.append(ours(number))
        theirs.append(other(number))
    return mine, theirs

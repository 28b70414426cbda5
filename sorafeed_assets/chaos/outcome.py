"""The outcome of a run, for people and programs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from sorafeed_assets.chaos.checks import Invariant
from sorafeed_assets.chaos.faults import Injected
from sorafeed_assets.chaos.http_client import Count
from sorafeed_assets.chaos.plan import KILLS

_LEAST: Final = 0.999
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table; ``met`` is None where there is no target."""

    name: str
    value: str
    target: str = "–"
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """How soon everything answered again after the faults of a kind, in seconds."""

    kind: str
    times: int
    median: float | None
    longest: float | None
    never: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed."""

    figures: Sequence[Figure]
    invariants: Sequence[Invariant]
    recoveries: Sequence[Recovery]
    left_out: Sequence[str]

    @property
    def is_well(self) -> bool:
        """Whether no invariant is broken."""
        return not any(invariant.broken for invariant in self.invariants)

    def as_json(self) -> Mapping[str, Any]:
        """Ready for json.dumps."""
        return {
            "figures": [
                {"name": f.name, "value": f.value, "target": f.target, "met": f.met}
                for f in self.figures
            ],
            "invariants": {i.name: list(i.broken) for i in self.invariants},
            "recoveries": [
                {
                    "kind": r.kind,
                    "times": r.times,
                    "median": r.median,
                    "longest": r.longest,
                    "never": r.never,
                }
                for r in self.recoveries
            ],
            "left_out": list(self.left_out),
        }

    def markdown(self) -> str:
        """The tables, and the first lines of what is broken."""
        lines = ["| figure | value | target | met |", "|---|---|---|---|"]
        lines += [f"| {f.name} | {f.value} | {f.target} | {_word(f.met)} |" for f in self.figures]
        lines += [
            f"| {i.name} | {len(i.broken)} | 0 | {_word(not i.broken)} |" for i in self.invariants
        ]
        lines += ["", "| fault | times | back after (median) | longest | not within 90 s |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {r.kind} | {r.times} | {_seconds(r.median)} | {_seconds(r.longest)} | {r.never} |"
            for r in self.recoveries
        ]
        if self.left_out:
            lines += ["", f"Not possible on this machine: {', '.join(self.left_out)}."]
        for invariant in self.invariants:
            if invariant.broken:
                lines += ["", f"{invariant.name}:"]
                lines += [f"- {line}" for line in invariant.broken[:_SHOWN]]
        return "\n".join(lines)


def recoveries(injected: Sequence[Injected]) -> list[Recovery]:
    """The times by kind of fault, kills first."""
    by_kind: dict[str, list[float | None]] = defaultdict(list)
    for each in injected:
        if not each.target:
            continue
        by_kind[each.kind].append(each.recovery)
    order = sorted(by_kind, key=lambda kind: (kind not in KILLS, kind))
    found = []
    for kind in order:
        times = [time for time in by_kind[kind] if time is not None]
        found.append(
            Recovery(
                str(kind),
                len(by_kind[kind]),
                median(times) if times else None,
                max(times, default=None),
                len(by_kind[kind]) - len(times),
            )
        )
    return found


def share(name: str, count: Count, *, target: bool = False) -> Figure:
    """The share of calls that were answered."""
    value = _share(count.calls_answered, count.calls)
    if not target:
        return Figure(name, value)
    is_met = count.calls > 0 and count.calls_answered / count.calls >= _LEAST
    return Figure(name, value, f"≥ {_LEAST:.1%}", is_met)


def attempts(name: str, count: Count) -> Figure:
    """The share of attempts that were answered."""
    return Figure(name, _share(count.attempts_answered, count.attempts))


def _share(answered: int, of: int) -> str:
    return f"{answered / of:.3%} of {of:,}" if of else "none were made"


def _word(met: bool | None) -> str:  # noqa: FBT001  # a word for each of the three
    return "–" if met is None else "yes" if met else "no"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"

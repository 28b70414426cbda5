"""The decisions of schedules and sensors, as pure functions of the data they gathered."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

# The outbox may grow this far before counts are refreshed ahead of the hour.
INSERTS_WORTH_A_REFRESH: Final = 5_000
_FIRST_BACKOFF: Final = timedelta(seconds=30)
_LONGEST_BACKOFF: Final = timedelta(hours=1)


def days_to_count(
    dirty: Collection[date],
    known: Collection[date],
    uncounted_terms: int,
    *,
    first: date,
    last: date,
) -> list[date]:
    """Which catalog days a refresh has to process.

    The dirty ones, or all known ones while a term is not counted yet. Days outside the partitions
    (times in the future, or before the catalogue's first day) are refreshed with the nearest one.
    """
    wanted = set(dirty) | (set(known) if uncounted_terms else set())
    return sorted({min(max(day, first), last) for day in wanted})


def days_outside(known: Collection[date], *, first: date, last: date) -> list[date]:
    """The days that no partition covers; they are refreshed together with any other day."""
    return sorted(day for day in known if not first <= day <= last)


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """Which partitions to add and to remove, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def partition_change(existing: Collection[str], wanted: Collection[str]) -> PartitionChange:
    """The change that turns ``existing`` partitions into the ``wanted`` ones."""
    return PartitionChange(
        tuple(sorted(set(wanted) - set(existing))), tuple(sorted(set(existing) - set(wanted)))
    )


def refresh_is_due(*, inserts: int, edits: int, uncounted_terms: int) -> bool:
    """Whether counts are refreshed now or may wait for the hour.

    An edit or delete may make a shown count too high, and a new term has no count; new posts
    only increase counts, so they wait until there are many.
    """
    return edits > 0 or uncounted_terms > 0 or inserts >= INSERTS_WORTH_A_REFRESH


class RunState(StrEnum):
    """The state of a run that a sensor requested."""

    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that a sensor requested: the digest of the reason, and how the run ended."""

    request: str
    state: RunState
    ended_at: datetime | None = None


def reason_to_wait(
    request: str,
    runs: Sequence[PastRun],
    now: datetime,
    *,
    again_after: timedelta | None = None,
) -> str | None:
    """Why a sensor does not request a run now, or None when it does.

    ``runs`` are this sensor's, newest first. One run at a time; a request that succeeded is not
    repeated (nothing changed since), or only after ``again_after``. Failures of the same request
    back off, doubling up to an hour; a different request, which may succeed, waits briefly.
    """
    if any(run.state is RunState.ACTIVE for run in runs):
        return "a run that was requested before is still in progress"
    if not runs:
        return None
    last = runs[0]
    if last.state is RunState.SUCCEEDED:
        if last.request != request:
            return None
        is_over = again_after is not None and (last.ended_at or now) + again_after <= now
        return None if is_over else "nothing changed since the last run"
    failures = 0
    for run in runs:
        if run.state is not RunState.FAILED or run.request != request:
            break
        failures += 1
    pause = min(_FIRST_BACKOFF * 2 ** max(failures - 1, 0), _LONGEST_BACKOFF)
    if last.ended_at is not None and now < last.ended_at + pause:
        return f"the last run failed; the next try is due {pause} after it"
    return None


def rotating_sample(values: Sequence[str], *, seed: int, size: int) -> list[str]:
    """``size`` of ``values``: consecutive seeds give consecutive parts, and cover all in turn."""
    if not values:
        return []
    start = (seed * size) % len(values)
    return [values[(start + step) % len(values)] for step in range(min(size, len(values)))]

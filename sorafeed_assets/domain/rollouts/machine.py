"""The states of a rollout, and the only ways from one to another: a pure state machine.

A running rollout moves to its next step when the step's time is over and its verdict is to pass.
`pause` holds it at its step: it does not advance, but a failing verdict still ends it. `force` sets
its share by hand: no verdict is acted on. A rollout is never both.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.rollouts.comparing import Verdict
from sorafeed_assets.domain.rollouts.signals import Signal

WHOLE: Final = 100.0
_MOST_STEPS: Final = 20
_LONGEST: Final = timedelta(days=30)


class Status(StrEnum):
    """What a rollout does."""

    RUNNING = "running"
    PAUSED = "paused"
    FORCED = "forced"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"


ENDED: Final = frozenset({Status.COMPLETED, Status.ROLLED_BACK, Status.STOPPED})
"""A rollout with one of these never changes again."""


class NotAllowedError(InvalidInputError):
    """A rollout's status does not allow what a caller asked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """A share of the displays in percent, and how long it is at least held."""

    percent: float
    duration: timedelta


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is rolled out, and how.

    Attributes:
        name: its name, for people.
        flag: the flag.
        value: the value that displays in the share get.
        steps: the shares, growing; reaching the last one, of 100 %, completes the rollout.
        signals: what is compared.
    """

    name: str
    flag: str
    value: str
    steps: tuple[Step, ...]
    signals: frozenset[Signal]


@dataclass(frozen=True, slots=True)
class State:
    """Where a rollout stands.

    Attributes:
        status: what it does.
        step: the index of its step.
        percent: the share that its flag must have.
        since: when that share was set, or the step began again.
        reason: why it came here, for people.
    """

    status: Status
    step: int
    percent: float
    since: datetime
    reason: str


def check_rollout(rollout: Rollout) -> None:
    """Check what a caller wants to start.

    Raises:
        InvalidInputError: naming the field.
    """
    name = rollout.name
    if not name or len(name) > 60 or not all(c.isalnum() or c in "-_." for c in name):
        raise InvalidInputError(
            "name", f"is {name!r}; use up to 60 letters, digits, dots, hyphens and underscores"
        )
    _check_steps(rollout.steps)
    if not rollout.signals:
        raise InvalidInputError("signals", "is empty; a rollout compares at least one")


def _check_steps(steps: Sequence[Step]) -> None:
    if not 2 <= len(steps) <= _MOST_STEPS:
        raise InvalidInputError("steps", f"has {len(steps)}; give 2 to {_MOST_STEPS}, the last 100")
    if steps[-1].percent != WHOLE:
        raise InvalidInputError("steps", f"ends at {steps[-1].percent:g} %; the last step is 100")
    before = 0.0
    for number, step in enumerate(steps):
        if step.percent <= before:
            raise InvalidInputError(
                f"steps[{number}]", f"is {step.percent:g} % after {before:g} %; shares must grow"
            )
        is_last = number == len(steps) - 1
        if not is_last and not timedelta(minutes=1) <= step.duration <= _LONGEST:
            raise InvalidInputError(f"steps[{number}]", "must last a minute to 30 days")
        before = step.percent


def begin(rollout: Rollout, now: datetime) -> State:
    """The first step."""
    return State(Status.RUNNING, 0, rollout.steps[0].percent, now, "started")


def judge(rollout: Rollout, state: State, verdict: Verdict, why: str, now: datetime) -> State:
    """The state after an evaluation; the same when nothing is to be done.

    Args:
        rollout: the rollout.
        state: where it stands.
        verdict: what the signals of its step say.
        why: the reason of a failing verdict.
        now: the moment of the evaluation.
    """
    if state.status not in {Status.RUNNING, Status.PAUSED}:
        return state
    if verdict is Verdict.FAIL:
        return State(Status.ROLLED_BACK, state.step, 0.0, now, why)
    is_over = now - state.since >= rollout.steps[state.step].duration
    if state.status is Status.PAUSED or verdict is not Verdict.PASS or not is_over:
        return state
    step = state.step + 1
    percent = rollout.steps[step].percent
    passed = f"step {state.step + 1} of {len(rollout.steps)} passed"
    status = Status.COMPLETED if percent == WHOLE else Status.RUNNING
    return State(status, step, percent, now, passed)


def pause(state: State, reason: str) -> State:
    """Hold a running rollout at its step.

    Raises:
        NotAllowedError: it is not running.
    """
    _require(state, {Status.RUNNING}, "be paused")
    return replace(state, status=Status.PAUSED, reason=reason)


def resume(rollout: Rollout, state: State, now: datetime) -> State:
    """Let a paused rollout continue; a forced one repeats the last step that its share reaches.

    Raises:
        NotAllowedError: it is neither paused nor forced.
    """
    _require(state, {Status.PAUSED, Status.FORCED}, "be resumed")
    if state.status is Status.PAUSED:
        return replace(state, status=Status.RUNNING, reason="resumed")
    reached = [n for n, step in enumerate(rollout.steps) if step.percent <= state.percent]
    step = reached[-1] if reached else 0
    percent = rollout.steps[step].percent
    status = Status.COMPLETED if percent == WHOLE else Status.RUNNING
    return State(status, step, percent, now, "resumed")


def force(state: State, percent: float, now: datetime, reason: str) -> State:
    """Set the share by hand; gates are shown, and nothing is done about them.

    Raises:
        NotAllowedError: it is paused, or has ended.
        InvalidInputError: the share is not from 0 to 100.
    """
    _require(state, {Status.RUNNING, Status.FORCED}, "be forced")
    if not 0 <= percent <= WHOLE:
        raise InvalidInputError("share", f"is {percent:g} %; it must be from 0 to 100")
    return State(Status.FORCED, state.step, percent, now, reason)


def stop(state: State, now: datetime, reason: str) -> State:
    """End a rollout by hand: no display is in its share any more.

    Raises:
        NotAllowedError: it has ended.
    """
    _require(state, {Status.RUNNING, Status.PAUSED, Status.FORCED}, "be stopped")
    return State(Status.STOPPED, state.step, 0.0, now, reason)


def _require(state: State, allowed: Collection[Status], act: str) -> None:
    if state.status not in allowed:
        hint = {
            Status.PAUSED: "resume it first",
            Status.FORCED: "resume it first",
            Status.RUNNING: "it goes on by itself",
        }.get(state.status, "start a new one")
        raise NotAllowedError("rollout", f"is {state.status}, so it cannot {act}; {hint}")

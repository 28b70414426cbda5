"""`Rollouts`: starts, evaluates and handles rollouts.

A step is one transaction: the flag's share, the displays it changes in `display_changes`, the
rollout's row, a line of its history and its lineage record. Then the displays are settled; if that
fails, `sorafeed react` does it, because they are noted.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry import trace
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.flags.known import DRIVER, known_flag
from sorafeed_assets.domain.rollouts.comparing import (
    Comparison,
    Verdict,
    compare_all,
    verdict_of,
)
from sorafeed_assets.domain.rollouts.machine import (
    ENDED,
    NotAllowedError,
    Rollout,
    State,
    Status,
    begin,
    check_rollout,
    force,
    judge,
    pause,
    resume,
    stop,
)
from sorafeed_assets.domain.rollouts.signals import OF_DISPLAYS, Signal
from sorafeed_assets.services.flags import Flags, FlagValues
from sorafeed_assets.services.rollouts.reads import RolloutNotFoundError, all_rollouts, one_rollout
from sorafeed_assets.services.rollouts.server import ServerSamples, read_server, samples_of_step
from sorafeed_assets.services.rollouts.sides import comparisons_of, read_samples, usual_rates
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.lineage_records import Change, write_changes
from sorafeed_assets.storage.prometheus import SETTING, Prometheus, prometheus_of
from sorafeed_assets.storage.rollouts.rows import (
    RolloutChange,
    StoredRollout,
    add_rollout,
    due_rollouts,
    load_rollouts,
    lock_rollout,
    move_rollout,
    note_change,
    store_evaluation,
    unended_rollout,
)

ASSET: Final = "rollouts"
"""The asset, with a partition for each rollout."""
EVERY: Final = timedelta(minutes=1)
"""How often a rollout is evaluated."""

_MOST_TEXT: Final = 500  # of a flag's reason

_tracer: Final = trace.get_tracer(__name__)

Settle = Callable[[Collection[str]], object]
"""Settles displays: `Settler.settle`."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found, and the displays that it gave another value.

    ``before`` and ``after`` are where the rollout stood and stands; the same if nothing was done.
    """

    name: str
    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    before: State
    after: State
    displays: tuple[str, ...] = ()


class Rollouts:
    """The rollouts of one database.

    Args:
        engine: the database.
        flags: the flags whose shares are set.
        settle: settles the displays whose value a step changes.
        clock: the current time; plays are compared by when they were played.
        prometheus: reads figures of the API's servers; None when no Prometheus is set.
    """

    def __init__(
        self,
        engine: Engine,
        flags: Flags,
        settle: Settle,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        prometheus: Prometheus | None = None,
    ) -> None:
        self._engine = engine
        self._flags = flags
        self._settle = settle
        self._clock = clock
        self._prometheus = prometheus

    @classmethod
    def of(cls, engine: Engine, flags: Flags, settle: Settle, settings: Settings) -> "Rollouts":
        """Use the Prometheus of the settings."""
        return cls(engine, flags, settle, prometheus=prometheus_of(settings.prometheus_url))

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that have a source."""
        return OF_DISPLAYS if self._prometheus is None else frozenset(Signal)

    def start(self, plan: Rollout, *, by: str) -> State:
        """Begin a rollout with its first step.

        Raises:
            InvalidInputError: naming the field that is refused; or its flag has a share already.
            UnknownFlagError: no flag has this key.
        """
        check_rollout(plan)
        self._check_sources(plan)
        known = known_flag(plan.flag, self._flags.known)
        if plan.flag == DRIVER:
            raise InvalidInputError(
                "flag",
                "driver cannot be rolled out: what the old system shows is not compared with what"
                " this one shows; switch a share of the displays by `sorafeed cutover --share`",
            )
        if plan.value not in known.values:
            raise InvalidInputError(
                "value", f"is {plan.value!r}; {plan.flag} can be {', '.join(known.values)}"
            )
        now = self._clock()
        state = begin(plan, now)
        with self._engine.begin() as connection:
            flags = self._flags.at(connection)
            self._check_free(connection, flags, plan)
            usual = usual_rates(connection, flags, plan.signals, now)
            if not add_rollout(connection, plan, state, usual):
                raise InvalidInputError("name", f"is {plan.name!r}, which is taken; choose another")
            displays = self._set_share(connection, plan, state, by)
            note_change(connection, plan.name, state, now, by, len(displays))
            _record(connection, plan, state)
        self._settle(displays)
        return state

    def pause(self, name: str, *, by: str, why: str) -> State:
        """Hold a running rollout at its step; a failing verdict still rolls it back.

        Raises:
            RolloutNotFoundError, NotAllowedError: there is none, or it is not running.
        """
        return self._by_hand(name, by, lambda _plan, state, _now: pause(state, why))

    def resume(self, name: str, *, by: str) -> State:
        """Let a paused or forced rollout continue.

        Raises:
            RolloutNotFoundError, NotAllowedError: there is none, or it is neither.
        """
        return self._by_hand(name, by, resume)

    def force(self, name: str, percent: float, *, by: str, why: str) -> State:
        """Set the share of a running rollout by hand; its gates decide nothing until `resume`.

        Raises:
            RolloutNotFoundError, NotAllowedError: there is none, or it is paused or has ended.
            InvalidInputError: the share is not from 0 to 100.
        """
        return self._by_hand(name, by, lambda _plan, state, now: force(state, percent, now, why))

    def stop(self, name: str, *, by: str, why: str) -> State:
        """End a rollout, and take its share back to 0.

        Raises:
            RolloutNotFoundError, NotAllowedError: there is none, or it has ended.
        """
        return self._by_hand(name, by, lambda _plan, state, now: stop(state, now, why))

    def all(self) -> list[StoredRollout]:
        """Every rollout, the newest first."""
        return all_rollouts(self._engine)

    def one(self, name: str) -> tuple[StoredRollout, list[RolloutChange]]:
        """A rollout, and its last changes, the newest first.

        Raises:
            RolloutNotFoundError: there is none.
        """
        return one_rollout(self._engine, name)

    def due(self, late: timedelta = timedelta(0)) -> list[str]:
        """The rollouts that have not ended and were not evaluated for a minute and ``late``."""
        with self._engine.connect() as connection:
            return due_rollouts(connection, self._clock() - EVERY - late)

    @_tracer.start_as_current_span("evaluate")
    def evaluate(self, name: str) -> Evaluation | None:
        """Compare the displays in a rollout's share with the others, and act; None if it has ended.

        Raises:
            RolloutNotFoundError: there is none.
        """
        with self._engine.connect() as connection:
            found = load_rollouts(connection, name)
        server = read_server(self._prometheus, found[0], self._clock()) if found else None
        with self._engine.begin() as connection:
            stored = _locked(connection, name)
            if stored.state.status in ENDED:
                return None
            evaluation = self._evaluated(connection, stored, server)
        if evaluation.displays:
            self._settle(evaluation.displays)
        return evaluation

    def _evaluated(
        self, connection: Connection, stored: StoredRollout, server: ServerSamples | None
    ) -> Evaluation:
        plan, state, now = stored.plan, stored.state, self._clock()
        flags = self._flags.at(connection)
        samples = read_samples(connection, flags, plan, state, stored.usual, now)
        samples |= samples_of_step(server, plan, state)
        comparisons = compare_all(samples, comparisons_of(plan, state, now))
        verdict = verdict_of(comparisons)
        store_evaluation(connection, plan.name, now, verdict, comparisons)
        why = "; ".join(f"{c.signal}: {c.why}" for c in comparisons if c.verdict is verdict)
        is_ours = state.status is not Status.RUNNING or _has_share(flags, plan, state)
        other = _set_for_all(flags, plan)
        if other is not None:
            # Nothing that this rollout set is left, so there is nothing to roll back either.
            is_running = state.status is Status.RUNNING
            why = f"{other}: it was set outside of the rollout"
            after = pause(state, why) if is_running else state
        elif verdict is not Verdict.FAIL and not is_ours:
            found = f"{flags.share(plan.flag):g} %"
            after = pause(state, f"the flag's share is {found}: it was set outside of the rollout")
        else:
            after = judge(plan, state, verdict, why, now)
        displays: Collection[str] = ()
        if after != state:
            displays = self._move(connection, plan, state, after, now, f"rollout {plan.name}")
        return Evaluation(
            plan.name, verdict, tuple(comparisons), state, after, tuple(sorted(displays))
        )

    def _by_hand(
        self, name: str, by: str, change: Callable[[Rollout, State, datetime], State]
    ) -> State:
        with self._engine.begin() as connection:
            stored, now = _locked(connection, name), self._clock()
            after = change(stored.plan, stored.state, now)
            other = _set_for_all(self._flags.at(connection), stored.plan)
            if other is not None and after.status is Status.STOPPED:
                after = replace(after, reason=f"{after.reason}; {other}, and stays as it is")
            elif other is not None and after.status is not Status.PAUSED:
                raise NotAllowedError(
                    "rollout",
                    f"cannot set its share: {other}; stop it, or set the flag back first:"
                    f" `sorafeed flags set {stored.plan.flag} VALUE --why …`",
                )
            displays = self._move(connection, stored.plan, stored.state, after, now, by)
        if displays:
            self._settle(displays)
        return after

    def _move(
        self,
        connection: Connection,
        plan: Rollout,
        before: State,
        after: State,
        now: datetime,
        by: str,
    ) -> Collection[str]:
        is_same_share = after.percent == before.percent and after.status is Status.PAUSED
        keeps_flag = is_same_share or _set_for_all(self._flags.at(connection), plan) is not None
        displays = () if keeps_flag else self._set_share(connection, plan, after, by)
        move_rollout(connection, plan.name, after, now, by, len(displays))
        _record(connection, plan, after)
        return displays

    def _set_share(
        self, connection: Connection, plan: Rollout, state: State, by: str
    ) -> Collection[str]:
        """Set the flag's share; returns the displays whose value changes."""
        change = self._flags.set_share(
            connection,
            plan.flag,
            state.percent,
            by=by,
            why=f"rollout {plan.name}: {state.status}, {state.reason}"[:_MOST_TEXT],
            value=plan.value,
            keep=False,
        )
        return change.displays.keys()

    def _check_sources(self, plan: Rollout) -> None:
        unknown = plan.signals - self.signals
        if unknown:
            listed = ", ".join(sorted(unknown))
            raise InvalidInputError(
                "signals",
                f"{listed} needs Prometheus; set {SETTING} to its address, or leave it out",
            )

    def _check_free(self, connection: Connection, flags: FlagValues, plan: Rollout) -> None:
        other = unended_rollout(connection, plan.flag)
        if other is not None:
            raise InvalidInputError(
                "flag", f"{plan.flag} is being rolled out by {other}; stop that first"
            )
        if plan.value == flags.base(plan.flag):
            raise InvalidInputError("value", f"is {plan.value!r}, which all displays have already")
        split = flags.split(plan.flag)
        if split is None or split.buckets or flags.kept(plan.flag):
            raise InvalidInputError(
                "flag",
                f"{plan.flag} has a share or displays that it keeps in one, or a definition"
                " that was written by hand; first set one value for all:"
                f" `sorafeed flags set {plan.flag} {flags.base(plan.flag)} --why …`",
            )


def rollout_change(plan: Rollout, state: State) -> Change:
    """The lineage change of a rollout: its version names its place, not its last evaluation."""
    version = content_digest([plan.flag, plan.value, state.status, state.step, state.percent])
    return Change(
        ASSET,
        plan.name,
        version,
        {},
        {
            "flag": plan.flag,
            "value": plan.value,
            "status": state.status.value,
            "step": state.step + 1,
            "percent": state.percent,
            "reason": state.reason,
        },
    )


def rollout_versions(
    connection: Connection, names: Collection[str] | None = None
) -> dict[str, str]:
    """The stored data version of each rollout."""
    changes = [rollout_change(each.plan, each.state) for each in load_rollouts(connection)]
    return {
        change.partition: change.data_version
        for change in changes
        if names is None or change.partition in names
    }


def record_rollouts(connection: Connection) -> None:
    """Record the rollouts whose rows were changed by hand."""
    for each in load_rollouts(connection):
        stored = _locked(connection, each.plan.name)
        _record(connection, stored.plan, stored.state)


def _record(connection: Connection, plan: Rollout, state: State) -> None:
    write_changes(connection, [rollout_change(plan, state)])


def _locked(connection: Connection, name: str) -> StoredRollout:
    stored = lock_rollout(connection, name)
    if stored is None:
        raise RolloutNotFoundError(name)
    return stored


def _set_for_all(flags: FlagValues, plan: Rollout) -> str | None:
    """How the flag was set so that it can have no share of the rollout's value; None if it can."""
    split = flags.split(plan.flag)
    if split is None:
        return f"the definition of {plan.flag} was written by hand"
    return f"{plan.flag} is {plan.value} for all displays" if split.base == plan.value else None


def _has_share(flags: FlagValues, plan: Rollout, state: State) -> bool:
    """Whether the flag's share is the one that the rollout has set."""
    split = flags.split(plan.flag)
    if split is None or split.value != plan.value:
        return False
    return round(split.percent, 2) == round(state.percent, 2)

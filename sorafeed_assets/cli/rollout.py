"""`sorafeed rollout`: start, watch and handle rollouts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli.common import DataDir, console, database, redis_of
from sorafeed_assets.cli.flags import actor
from sorafeed_assets.cli.output import As, AsJson, chosen, print_list
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.rollouts.machine import Rollout, State, Step
from sorafeed_assets.domain.rollouts.signals import Signal

if TYPE_CHECKING:
    from sorafeed_assets.services.rollouts.rollouts import Rollouts
    from sorafeed_assets.storage.rollouts.rows import RolloutChange, StoredRollout

rollout = typer.Typer(no_args_is_help=True)

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_STEPS: Final = "5:30m 25:30m 50:1h 100"

Name = Annotated[str, typer.Argument(help="The rollout's name.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.")]


@contextmanager
def _rollouts(data_dir: Path | None) -> Iterator["Rollouts"]:
    from sorafeed_assets.services.flags import Flags
    from sorafeed_assets.services.rollouts.rollouts import Rollouts
    from sorafeed_assets.services.settle import Settler

    with database(data_dir) as (engine, settings), redis_of(settings) as redis:
        settle = Settler.of(engine, redis, settings).settle
        yield Rollouts.of(engine, Flags(engine), settle, settings)


def parse_steps(given: str) -> tuple[Step, ...]:
    """Parse ``5:30m 25:1h 100``: shares in percent, and how long each is held.

    Raises:
        InvalidInputError: naming the step.
    """
    steps = []
    for number, part in enumerate(given.replace(",", " ").split()):
        percent, _, duration = part.partition(":")
        try:
            held = int(duration[:-1]) * _UNITS[duration[-1]] if duration else timedelta(0)
            steps.append(Step(float(percent), held))
        except (ValueError, KeyError, OverflowError) as error:
            raise InvalidInputError(
                f"steps[{number}]", f"is {part!r}; write it as 25:30m, 25:2h or 25:1d"
            ) from error
    return tuple(steps)


@rollout.command("start")
def start(
    name: Name,
    flag: Annotated[str, typer.Option(help="The flag.")],
    value: Annotated[str, typer.Option(help="The value that displays in the share get.")],
    steps: Annotated[
        str, typer.Option(help="Shares in percent and how long each is held; the last is 100.")
    ] = _STEPS,
    signal: Annotated[
        list[Signal] | None,
        typer.Option(help="Compare only these signals; all that have a source by default."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Begin a rollout with its first step; `sorafeed react` evaluates it every minute."""
    shares = parse_steps(steps)
    with _rollouts(data_dir) as rollouts:
        plan = Rollout(name, flag, value, shares, frozenset(signal or rollouts.signals))
        _print_state(name, rollouts.start(plan, by=actor("sorafeed rollout start")))


@rollout.command("list")
def show_all(as_json: AsJson = False, output: As = None, data_dir: DataDir = None) -> None:
    """List all rollouts, the newest first."""
    from sorafeed_assets.services.rollouts.reads import all_rollouts

    how = chosen(output, as_json)
    with database(data_dir) as (engine, _settings):
        rows = [
            (
                each.plan.name,
                each.plan.flag,
                each.plan.value,
                each.state.status,
                f"{each.state.step + 1} of {len(each.plan.steps)}",
                each.state.percent,
                each.verdict,
                each.state.reason,
            )
            for each in all_rollouts(engine)
        ]
    columns = ("name", "flag", "value", "status", "step", "percent", "verdict", "reason")
    print_list(columns, rows, how)


@rollout.command("show")
def show(
    name: Name,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show where a rollout stands, its last comparison, and its history."""
    from sorafeed_assets.services.rollouts.reads import one_rollout

    with database(data_dir) as (engine, _settings):
        stored, changes = one_rollout(engine, name)
    if as_json:
        typer.echo(orjson.dumps(_as_json(stored, changes), option=orjson.OPT_INDENT_2).decode())
        return
    _print_state(name, stored.state)
    table = Table("signal", "verdict", "evidence", "in the share, and outside", title="Compared")
    for each in stored.comparisons:
        table.add_row(each.signal, each.says, f"{each.evidence:.1f}", escape(each.why))
    if stored.evaluated_at is not None:
        console.print(table)
    history = Table("when", "by", "status", "share", "displays", "reason", title="Steps")
    for change in changes:
        history.add_row(
            f"{change.changed_at:%Y-%m-%d %H:%M:%S}",
            escape(change.changed_by),
            change.status,
            f"{change.percent:g} %",
            str(change.displays),
            escape(change.reason),
        )
    console.print(history)


@rollout.command("pause")
def pause(name: Name, why: Why = "paused by hand", data_dir: DataDir = None) -> None:
    """Hold a rollout at its step; a failing verdict still rolls it back."""
    with _rollouts(data_dir) as rollouts:
        _print_state(name, rollouts.pause(name, by=actor("sorafeed rollout pause"), why=why))


@rollout.command("resume")
def resume(name: Name, data_dir: DataDir = None) -> None:
    """Let a paused or forced rollout continue automatically."""
    with _rollouts(data_dir) as rollouts:
        _print_state(name, rollouts.resume(name, by=actor("sorafeed rollout resume")))


@rollout.command("force")
def force(
    name: Name,
    share: Annotated[float, typer.Option(help="The share in percent.")],
    why: Why = "forced by hand",
    data_dir: DataDir = None,
) -> None:
    """Set the share by hand; signals are shown, but change nothing until `resume`."""
    with _rollouts(data_dir) as rollouts:
        _print_state(name, rollouts.force(name, share, by=actor("sorafeed rollout force"), why=why))


@rollout.command("stop")
def stop(name: Name, why: Why = "stopped by hand", data_dir: DataDir = None) -> None:
    """End a rollout: its share returns to 0, and its displays to their previous value."""
    with _rollouts(data_dir) as rollouts:
        _print_state(name, rollouts.stop(name, by=actor("sorafeed rollout stop"), why=why))


def _print_state(name: str, state: State) -> None:
    console.print(
        f"rollout {name} is {state.status} at {state.percent:g} % since"
        f" {state.since:%Y-%m-%d %H:%M:%S} UTC: {state.reason}",
        markup=False,
        highlight=False,
    )


def _as_json(stored: "StoredRollout", changes: "list[RolloutChange]") -> dict[str, object]:
    plan, state = stored.plan, stored.state
    return {
        "name": plan.name,
        "flag": plan.flag,
        "value": plan.value,
        "status": state.status,
        "step": state.step + 1,
        "steps": len(plan.steps),
        "share": state.percent,
        "since": state.since,
        "reason": state.reason,
        "verdict": stored.verdict,
        "evaluated_at": stored.evaluated_at,
        "signals": [
            {
                "signal": each.signal,
                "verdict": each.verdict,
                "evidence": round(each.evidence, 3),
                "inside": each.inside[:2],
                "outside": each.outside[:2],
                "why": each.why,
            }
            for each in stored.comparisons
        ],
        "changes": [change._asdict() for change in changes],
    }

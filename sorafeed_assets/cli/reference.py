"""`python -m sorafeed_assets.cli.reference`: prints docs/reference.md, made from the code."""

import inspect
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import typer
from prometheus_client.metrics import MetricWrapperBase

from sorafeed_assets.cli.app import COMMANDS, build
from sorafeed_assets.cli.exits import OF_COMMANDS, OF_EVERY_COMMAND
from sorafeed_assets.defs.common import ASKED_BY_TAG, DAYS_TAG, DISPLAYS_TAG
from sorafeed_assets.defs.dagster_internals import LINEAGE_TAG
from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.services.timelines.queues import QueueStatus
from sorafeed_assets.services.watching import Figures
from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets.serving.live.events import EVENTS, TAGS
from sorafeed_assets.settings import SECRETS_DIR, Settings
from sorafeed_assets.storage.watching import StoredFigures, Waiting

_HEAD: Final = """\
# Reference

Generated from the code by `python -m sorafeed_assets.cli.reference > docs/reference.md`; a test
keeps it current. How the parts are used is in [operations](operating.md),
[deployment](deployment.md) and [the API](api.md).
"""
_TAGS: Final = {
    ASKED_BY_TAG: "run | The sensor that asked for the run.",
    DISPLAYS_TAG: "run | The displays that the run is about: the first 10, and how many more.",
    DAYS_TAG: "run | The catalog days that the run is about.",
    LINEAGE_TAG: "event | The lineage record that the event was made from.",
}
_OF_EVERY_COMMAND: Final = {"data_dir", "help"}
_KINDS: Final[dict[object, str]] = {
    int: "NUMBER",
    float: "NUMBER",
    Path: "PATH",
    datetime: "DATE",
}
_WEBHOOK: Final = {
    "run": "A run has failed: `text`, `job`, `run`, `at`, and `url` if the UI's address is set.",
    "check": "An asset check has failed: `text`, `asset`, `check`, `severity`, `run`, `at`, `url`.",
}


def reference() -> str:
    """The whole page as Markdown."""
    parts = (_settings(), _commands(), _exit_codes(), _metrics(), _events())
    return "\n".join((_HEAD, *("\n".join(part) for part in parts)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("\n", " ") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield (
        "Environment variables, or files of that name in the folder that"
        f" `{SECRETS_DIR}` names; a variable wins.\n"
    )
    rows = [
        (f"`SORAFEED_{name.upper()}`", _default(field.default), _limits(field.metadata),
         field.description or "")
        for name, field in Settings.model_fields.items()
    ]  # fmt: skip
    yield from _table(("variable", "default", "allowed", "meaning"), rows)


def _default(value: object) -> str:
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _limits(metadata: Sequence[Any]) -> str:
    found = []
    for each in metadata:
        for name, sign in (("ge", "at least"), ("gt", "more than"), ("le", "at most")):
            value = getattr(each, name, None)
            if value is not None:
                found.append(f"{sign} {value:,}")
    return ", ".join(found)


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield (
        "Every command has `--help`, and `--data-dir PATH`, the folder of the embedded servers"
        " and of Dagster's files. `sorafeed --install-completion` completes them in a shell.\n"
    )
    root = typer.main.get_command(build(*COMMANDS))
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # a group
        if not command.hidden:
            yield from _command(name, command)


def _command(path: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is not None:
        for name, each in inner.items():
            yield from _command(f"{path} {name}", each)
        return
    parameters = [each for each in command.params if each.name not in _OF_EVERY_COMMAND]
    arguments = [_metavar(each) for each in parameters if _is_argument(each)]
    yield f"### `sorafeed {' '.join((path, *arguments))}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    if parameters:
        rows = [(_names(each), _default_of(each), each.help or "") for each in parameters]
        yield from _table(("option or argument", "default", "meaning"), rows)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _metavar(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if _is_argument(parameter):
        return f"`{_metavar(parameter)}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"{names} {', '.join(f'`{each.value}`' for each in kind)}"
    return f"{names} {_KINDS.get(kind, 'TEXT')}"


def _default_of(parameter: Any) -> str:
    default = parameter.default
    if default is False or default is None or isinstance(default, (list, tuple)):
        return ""
    return _default(default.value if isinstance(default, Enum) else default)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    rows = [("every command", str(code), text) for code, text in OF_EVERY_COMMAND.items()]
    rows += [
        (f"`sorafeed {command}`", str(code), text)
        for command, codes in OF_COMMANDS.items()
        for code, text in codes.items()
    ]
    yield from _table(("command", "code", "meaning"), rows)


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield "`/metrics` of the API, in Prometheus' format. A figure that cannot be read is missing.\n"
    metrics = Metrics()
    counted = {
        family.name: [*each._labelnames]  # noqa: SLF001  # families have no labels before a sample
        for each in vars(metrics).values()
        if isinstance(each, MetricWrapperBase)
        for family in each.describe()
    }
    metrics.stored.figures = _figures()
    metrics.stored.failed_runs, metrics.stored.has_dagster = 0, True
    metrics.stored.has_legacy = metrics.stored.follows_legacy = True
    rows = []
    for family in sorted(metrics.registry.collect(), key=lambda each: each.name):
        labels = counted.get(family.name) or sorted(
            {k for s in family.samples for k in s.labels} - {"le"}
        )
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, ", ".join(labels), family.documentation))
    yield from _table(("metric", "type", "labels", "meaning"), rows)


def _figures() -> Figures:
    """Figures of nothing, so that every gauge is there."""
    waiting = {"catalog_changes": Waiting(0, 0.0)}
    stored = StoredFigures(
        waiting,
        given_up=0,
        plan_problems=0,
        react_leads=False,
        rolled_back=0,
        rollout_seconds=0.0,
        backup_seconds=0.0,
        legacy_seconds=0.0,
        legacy_queues_seconds=0.0,
    )
    return Figures(stored, QueueStatus(0, 0, 0), dict.fromkeys(Outcome, 0))


def _events() -> Iterator[str]:
    yield "## Events\n"
    yield "Server-sent events of `/api/events` and `/api/displays/{code}/events`:\n"
    yield from _table(("event", "meaning"), [(f"`{name}`", text) for name, text in EVENTS.items()])
    yield "The data of `change` is a JSON list of tags:\n"
    yield from _table(("tag", "meaning"), [(f"`{name}`", text) for name, text in TAGS.items()])
    yield "Messages to the webhook of `SORAFEED_ALERT_WEBHOOK`, as JSON by POST:\n"
    yield from _table(("`kind`", "meaning"), [(f"`{k}`", text) for k, text in _WEBHOOK.items()])
    yield "Tags of Dagster's runs and events:\n"
    rows = [(f"`{tag}`", *text.split(" | ")) for tag, text in _TAGS.items()]
    yield from _table(("tag", "of", "meaning"), rows)


if __name__ == "__main__":
    sys.stdout.write(reference())

"""How commands print data: as a table for people, as JSON or CSV for programs."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli.common import console
from sorafeed_assets.domain.errors import InvalidInputError

Cell = str | int | float | bool | datetime | date | None
"""What a cell of a list may hold; a str also stands for ids and enums."""


class Output(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
As = Annotated[
    Output | None, typer.Option("--output", "-o", help="Print a table (default), JSON or CSV.")
]

_TIME: Final = "%Y-%m-%d %H:%M:%S UTC"


def chosen(output: Output | None, as_json: bool) -> Output:  # noqa: FBT001  # an option's value
    """The kind of output that ``--output`` and ``--json`` ask for.

    Raises:
        InvalidInputError: they contradict each other.
    """
    if as_json and output not in {None, Output.JSON}:
        raise InvalidInputError("--json", f"contradicts --output {output}; use one of them")
    return Output.JSON if as_json else output or Output.TABLE


def print_list(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    output: Output,
    *,
    title: str | None = None,
) -> None:
    """Print rows: a table, a JSON list of objects, or CSV with a header.

    ``columns`` are the keys; a table shows them with blanks for underscores. Times are in UTC.
    """
    if output is Output.JSON:
        found = [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif output is Output.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(cell) for cell in row] for row in rows)
    else:
        _print_table(columns, list(rows), title)


def print_object(found: dict[str, object]) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=_plain))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], title: str | None) -> None:
    table = Table(title=title)
    for number, column in enumerate(columns):
        values = [row[number] for row in rows]
        is_number = any(type(value) in {int, float} for value in values)
        table.add_column(
            column.replace("_", " "),
            justify="right" if is_number else "left",
            # An id that is broken over lines cannot be copied.
            no_wrap=column == "id",
        )
    for row in rows:
        table.add_row(*map(_shown, row))
    console.print(table)


def _plain(cell: object) -> object:
    return cell.isoformat() if isinstance(cell, (date, datetime)) else cell


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else ""
    if isinstance(cell, (int, float)):
        return f"{cell:,}"
    if isinstance(cell, datetime):
        return f"{cell:{_TIME}}"
    return escape(str(cell))

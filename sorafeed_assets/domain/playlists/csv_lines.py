"""CSV files line by line: the header names the columns, and every error names its line.

Not here: what the columns of a file mean.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

from sorafeed_assets.domain.errors import InvalidInputError, Refusals
from sorafeed_assets.domain.text import shown

_Row = TypeVar("_Row")
_BYTE_ORDER_MARK: Final = "\ufeff"


def parse_csv(
    text: str,
    columns: Sequence[str],
    required: Collection[str],
    draft: Callable[[int, dict[str, str]], _Row],
    *,
    most: int,
    kind: str,
) -> tuple[_Row, ...]:
    """What ``draft`` makes of each line's index and cells by column.

    The first line names the columns, in any order; those that are not ``required`` may be missing.
    A byte order mark and blank lines are ignored. At most ``most`` lines are read; ``kind`` is what
    one of them is, in messages.

    Raises:
        InvalidInputError: naming the line, and the field where there is one: ``line 3, format``;
            all that are refused, at once. The result is empty only when the file has no line.
    """
    rows = _rows(text.removeprefix(_BYTE_ORDER_MARK))
    line, header = next(rows, (1, []))
    names = _names(line, header, columns, required)
    refusals = Refusals()
    found: list[_Row | None] = []
    while (row := refusals.check(lambda: next(rows, None))) is not None:
        line, cells = row
        if len(found) == most:
            refusals.add(InvalidInputError(f"line {line}", f"is {kind} {most + 1}; write fewer"))
            break
        found.append(refusals.check(partial(_draft, draft, len(found), line, names, cells)))
    refusals.raise_all()
    return tuple(each for each in found if each is not None)


def _draft(
    draft: Callable[[int, dict[str, str]], _Row],
    index: int,
    line: int,
    names: list[str],
    cells: list[str],
) -> _Row:
    if len(cells) != len(names):
        raise InvalidInputError(
            f"line {line}",
            f"has {len(cells)} fields, the header has {len(names)};"
            " put quotes around a field with commas",
        )
    try:
        return draft(index, dict(zip(names, cells, strict=True)))
    except InvalidInputError as error:
        refusals = Refusals()
        for each in error.errors:
            field = each.field.rpartition(".")[2]
            refusals.add(InvalidInputError(f"line {line}, {field}", each.problem))
        refusals.raise_all()
        raise


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the number of the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InvalidInputError(f"line {line}", f"is not valid CSV: {error}") from error
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _names(
    line: int, header: list[str], columns: Sequence[str], required: Collection[str]
) -> list[str]:
    names = [name.strip() for name in header]
    for name in names:
        if name not in columns:
            raise InvalidInputError(
                f"line {line}", f"has an unknown column {shown(name)}; use {', '.join(columns)}"
            )
        if names.count(name) > 1:
            raise InvalidInputError(f"line {line}", f"has the column {name} twice; remove one")
    missing = [name for name in columns if name in required and name not in names]
    if missing:
        raise InvalidInputError(
            f"line {line}",
            f"lacks the column {missing[0]}; the first line names the columns, for example"
            f" {','.join(columns)}",
        )
    return names

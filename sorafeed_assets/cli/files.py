"""Files that commands read and print: CSV, or JSON by an option or by the file's name."""

from pathlib import Path
from typing import Annotated

import typer

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.files import FileKind

File = Annotated[
    Path,
    typer.Argument(exists=True, dir_okay=False, help="A CSV file, or a JSON file named *.json."),
]
AsFile = Annotated[
    FileKind | None, typer.Option("--output", "-o", help="Print CSV (default) or JSON.")
]


def kind_asked(output: FileKind | None, as_json: bool) -> FileKind:  # noqa: FBT001  # an option's value
    """The kind of file that ``--output`` and ``--json`` ask for.

    Raises:
        InvalidInputError: they contradict each other.
    """
    if as_json and output is FileKind.CSV:
        raise InvalidInputError("--json", "contradicts --output csv; use one of them")
    return FileKind.JSON if as_json else output or FileKind.CSV


def read_file(file: Path) -> tuple[str, FileKind]:
    """The text of a file, and its kind by its name.

    Raises:
        InvalidInputError: it is not UTF-8.
    """
    kind = FileKind.JSON if file.suffix.lower() == ".json" else FileKind.CSV
    try:
        return file.read_text(encoding="utf-8-sig"), kind
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            str(file), f"is not UTF-8; save it as {kind.upper()} UTF-8"
        ) from error

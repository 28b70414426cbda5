"""Each `sorafeed …` that the docs name is a command with these options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from sorafeed_assets.cli.app import COMMANDS, build

_ROOT: Final = Path(__file__).parents[1]
_PAGES: Final = [
    *sorted((_ROOT / "docs").glob("*.md")),
    _ROOT / "README.md",
    _ROOT / "CONTRIBUTING.md",
]
# A command ends where the shell begins another one, or in prose.
_ENDS: Final = re.compile(r"[|>&;()…]|\s#|\$\(")


def _named(page: str) -> Iterator[str]:
    """The commands of a page: those in its code blocks, and those in its text."""
    code = "".join(re.findall(r"^```(?:sh|console)?\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    for line in code.replace("\\\n", " ").splitlines():
        yield from re.findall(r"(?:^|(?<!--namespace)[\s(])(sorafeed [a-z-].*)", line)
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", text):
        yield from re.findall(r"^(sorafeed [a-z-].*)", " ".join(span.split()))


def _problem(root: Any, line: str) -> str | None:
    """Why a command line cannot be right; None if its command has all that it names."""
    words = shlex.split(_ENDS.split(line)[0], posix=False)[1:]
    command, taken = root, 0
    # Typer's groups are not click's own.
    while hasattr(command, "commands") and taken < len(words) and words[taken][0] != "-":
        # `legacy import|follow` are two of them.
        for name in words[taken].split("|"):
            if name not in command.commands:
                return f"no command {name!r}"
        command, taken = command.commands[words[taken].split("|")[0]], taken + 1
    if command.name == "exec":
        return None  # the rest is of another program
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    given = {word.split("=")[0] for word in words[taken:] if word.startswith("--")}
    unknown = given - options - {"--help", "--install-completion", "--show-completion"}
    return f"no options {sorted(unknown)}" if unknown else None


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_the_commands_of_the_docs_exist(page: Path) -> None:
    root = typer.main.get_command(build(*COMMANDS))
    lines = set(_named(page.read_text(encoding="utf-8")))
    assert {line: problem for line in lines if (problem := _problem(root, line))} == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    root = typer.main.get_command(build(*COMMANDS))
    for line in ("sorafeed legacy imports", "sorafeed up --ports 3", "sorafeed upp"):
        assert _problem(root, line), line
    assert _problem(root, "sorafeed legacy import | tee log") is None
    page = "```sh\nsorafeed up \\\n  --port 3\n```\nas `sorafeed legacy\ncheck` does"
    assert [" ".join(line.split()) for line in _named(page)] == [
        "sorafeed up --port 3",
        "sorafeed legacy check",
    ]

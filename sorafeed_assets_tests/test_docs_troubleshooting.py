"""The page about troubleshooting: its SQL runs, its commands and its messages exist."""

import re
from pathlib import Path
from typing import Final

import typer
from sqlalchemy import Engine

import sorafeed_assets
from sorafeed_assets.cli.app import COMMANDS, build

_PACKAGE: Final = Path(sorafeed_assets.__file__).parent
_PAGE: Final = (_PACKAGE.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def test_its_sql_runs(engine: Engine) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", _PAGE, re.DOTALL)
    assert len(blocks) > 1
    with engine.connect() as connection:
        for block in blocks:
            connection.exec_driver_sql(block)


def test_its_commands_exist() -> None:
    root = typer.main.get_command(build(*COMMANDS))
    named = re.findall(
        r"^sorafeed ([a-z]+)(?: ([a-z]+))?|`sorafeed ([a-z]+)(?: ([a-z]+))?", _PAGE, re.MULTILINE
    )
    assert len(named) > 5
    for parts in named:
        first, second = (part for part in (parts[:2] if parts[0] else parts[2:]))
        command = getattr(root, "commands", {})[first]
        commands = getattr(command, "commands", None)
        assert not second or commands is None or second in commands, (first, second)


def test_the_players_messages_are_those_of_the_player() -> None:
    player = (_PACKAGE / "serving/pages/static/player.js").read_text(encoding="utf-8")
    table = _PAGE.partition("| the player's message |")[2].partition("\n\n")[0]
    messages = re.findall(r'^\| "(.+?)" \|', table, re.MULTILINE)
    assert len(messages) > 4
    assert [each for each in messages if each not in player] == []


def test_the_headings_about_attention_are_in_the_words_of_the_card() -> None:
    modules = ("services/attention.py", "domain/wording.py")
    words = "".join((_PACKAGE / each).read_text(encoding="utf-8") for each in modules)
    part = _PAGE.partition('## "Needs attention"')[2].partition("\n## ")[0]
    headings = re.findall(r'^### (?:The card says )?"(.+?)"$', part, re.MULTILINE)
    assert len(headings) > 6
    # A search or a number differs from display to display.
    pieces = [piece for each in headings for piece in re.split(r"…|\d+", each)]
    assert [piece for piece in pieces if piece.strip(" :") not in words] == []

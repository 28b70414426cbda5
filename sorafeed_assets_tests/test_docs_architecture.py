"""The grid of docs/architecture.md names modules that exist, each on its floor and in its room."""

import re
from pathlib import Path

import sorafeed_assets

_PACKAGE = Path(sorafeed_assets.__file__).parent
_PAGE = _PACKAGE.parent / "docs" / "architecture.md"
_FLOORS = {"cli", "launch", "defs", "serving", "services", "storage", "domain"}


def test_the_modules_of_the_house_exist() -> None:
    house = _PAGE.read_text().partition("## The house")[2]
    lines = [line.strip("| ").split("|") for line in house.splitlines() if line.startswith("| ")]
    rooms = [cell.strip() for cell in lines[0]]
    named: dict[str, list[Path]] = {}
    for cells in lines[1:]:
        floor = cells[0].strip(" `/")
        for room, cell in zip(rooms[1:], cells[1:], strict=True):
            folder = _PACKAGE / floor / ("" if room == "the whole floor" else room)
            named.setdefault(floor, []).extend(folder / n for n in re.findall(r"`(\w+)/?`", cell))
    assert named.keys() >= _FLOORS
    modules = [path for floor in _FLOORS for path in named[floor]]
    assert len(modules) > 80
    assert [
        path for path in modules if not (path.is_dir() or path.with_suffix(".py").is_file())
    ] == []

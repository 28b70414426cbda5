"""Progress of long work without a terminal."""

import pytest

from sorafeed_assets.cli import common
from sorafeed_assets.cli.common import Bars


def test_progress_is_printed_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bars() as bars:
        for number in range(1_001):
            bars("Loading [posts]", number, 1_000)
        bars("Counting", 0, 2)
        monkeypatch.setattr(common, "_SECONDS_A_LINE", 0.0)
        bars("Counting", 1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" s  ")[2] for line in lines] == [
        "Loading [posts]: 0 of 1,000",
        "Loading [posts]: 1,000 of 1,000",
        "Counting: 0 of 2",
        "Counting: 1 of 2",
    ]

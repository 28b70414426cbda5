"""What people read has none of the words that CONTRIBUTING leaves out."""

import re
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[1]
_PAGES: Final = _ROOT / "sorafeed_assets" / "serving" / "pages"
_READ: Final = sorted(
    [
        *(_ROOT / "docs").glob("*.md"),
        *(_ROOT / "docs").glob("*.graphql"),
        _ROOT / "README.md",
        _ROOT / "SECURITY.md",
        *(_ROOT / "deploy" / "prometheus").glob("*.yml"),
        *(_PAGES / "templates").glob("*.html"),
        *(_PAGES / "static").glob("*.js"),
    ]
)
_LEFT_OUT: Final = re.compile(
    r"\b(whoever|somebody|someone|(?:goes|go|going|went) on|what is there|good for nothing)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("file", _READ, ids=lambda file: file.name)
def test_the_words_that_are_left_out_are_not_there(file: Path) -> None:
    found = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if _LEFT_OUT.search(line)
    ]
    assert found == []


def test_all_kinds_of_texts_are_read() -> None:
    assert {".md", ".graphql", ".html", ".js", ".yml"} == {file.suffix for file in _READ}
    assert {"reference.md", "runbook.md", "overview.html"} <= {file.name for file in _READ}

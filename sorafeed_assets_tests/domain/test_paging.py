"""Invalid cursors are refused."""

import base64

import pytest

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.paging import PageList

LIST = PageList("displays")


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    ["", "?", "é", "AAAA", _packed("{}"), _packed("5"), _packed("[" * 100_000), _packed("[]")],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^after: "):
        LIST.key(cursor, str)


def test_a_cursor_gives_its_key_again() -> None:
    assert LIST.key(LIST.cursor(["a", 5]), str, int) == ("a", 5)

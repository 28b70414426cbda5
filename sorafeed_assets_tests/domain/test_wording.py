"""A refused value has the same words on a page and in a command."""

import pytest

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    InvalidInputsError,
)
from sorafeed_assets.domain.wording import error_text, in_words

_EMPTY = "is empty; write the words to search for"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("line 4, search_term", f"Line 4: the search {_EMPTY}."),
        ("blocks[2].search_term", f"Block 3: the search {_EMPTY}."),
        ("line 4", f"Line 4 {_EMPTY}."),
        ("name", f"The name {_EMPTY}."),
    ],
)
def test_parts_of_a_playlist_are_named_as_people_do(field: str, words: str) -> None:
    error = InvalidInputError(field, _EMPTY)
    assert error_text(error) == in_words(error) == words


@pytest.mark.parametrize("field", ["--json", "/srv/a_playlist, new.csv", "steps[0]"])
def test_what_is_given_to_a_command_keeps_its_name(field: str) -> None:
    assert error_text(InvalidInputError(field, "is wrong")) == f"{field} is wrong"


def test_all_refused_values_have_a_line_each() -> None:
    errors = [InvalidInputError(f"line {number}, format", "is wrong") for number in (2, 3)]
    text = error_text(InvalidInputsError(errors))
    assert text == "Line 2: the format is wrong.\nLine 3: the format is wrong."


def test_other_errors_stay_as_they_are() -> None:
    error = DisplayNotFoundError("NONE00")
    assert error_text(error) == str(error)

"""Pairing codes: made, shown, and read as people write them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.pairing import LENGTH, LETTERS, make_code, parse_code, shown_code

_CODES = st.text(LETTERS, min_size=LENGTH, max_size=LENGTH)


@given(_CODES, st.sampled_from(["{}", " {} ", "{}\n"]), st.booleans())
def test_a_code_is_read_as_it_is_shown(code: str, around: str, is_small: bool) -> None:  # noqa: FBT001  # hypothesis passes it by name
    written = around.format(shown_code(code))
    assert parse_code(written.lower() if is_small else written) == code


def test_a_made_code_is_a_code() -> None:
    choose = random.Random(1).choice  # noqa: S311  # a test
    codes = {make_code(choose) for _ in range(200)}
    assert len(codes) == 200
    assert {parse_code(code) for code in codes} == codes


@pytest.mark.parametrize(
    "wrong", ["", "ABCD-EFG", "ABCD-EFGHJ", "ABCD-EFGO", "ABCD-EFG1", "ÄBCDEFGH"]
)
def test_what_is_no_code_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInputError, match="screen shows"):
        parse_code(wrong)

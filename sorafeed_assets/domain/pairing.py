"""Pairing codes: what a new screen shows, and an admin enters to connect it with a display."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError

LETTERS: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without I, L, O, 0 and 1, which are easily confused."""
LENGTH: Final = 8
"""31^8 codes: a guess finds one of 10,000 waiting screens once in 85 million."""

_CODE: Final = re.compile(f"[{LETTERS}]{{{LENGTH}}}")


def make_code(choose: Callable[[Sequence[str]], str]) -> str:
    """Make a code of letters that ``choose`` draws."""
    return "".join(choose(LETTERS) for _ in range(LENGTH))


def shown_code(code: str) -> str:
    """A code as a screen shows it: ``ABCD-EFGH``."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def parse_code(given: str) -> str:
    """The code that a person entered, in any case, with or without dashes and spaces.

    Raises:
        InvalidInputError: it is no code.
    """
    code = re.sub(r"[\s-]", "", given[:40]).upper()
    if not _CODE.fullmatch(code):
        raise InvalidInputError(
            "code", f"must be the {LENGTH} letters and digits that the screen shows"
        )
    return code

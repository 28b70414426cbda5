"""Compiled functions work even if the result cannot be cached for the next process."""

from collections.abc import Callable
from typing import cast

from sorafeed_assets.domain.catalog.compiled import compiled


def test_without_a_folder_to_keep_it_in() -> None:
    made: dict[str, object] = {}
    # A function without a file is one that Numba finds no folder for.
    exec(compile("def twice(n):\n    return 2 * n\n", "<nowhere>", "exec"), made)  # noqa: S102
    twice = compiled(cast("Callable[[int], int]", made["twice"]))
    assert twice(21) == 42

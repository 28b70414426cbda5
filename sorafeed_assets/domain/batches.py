"""Sequences in parts of a bounded size."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def batched(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Consecutive parts of ``size`` items, the last of which may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]

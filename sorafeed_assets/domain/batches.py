"""Sequences in parts of a bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")


def batched(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Consecutive parts of ``size`` items, the last of which may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def streamed(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """`batched` for items that are made while they are read: at most ``size`` are held."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch

"""The order that a block's matches play in: newest first, or a keyed shuffle of their ids."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

_MULTIPLIER_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2: Final = np.uint64(0x94D049BB133111EB)
_SHIFT_30: Final = np.uint64(30)
_SHIFT_27: Final = np.uint64(27)
_SHIFT_31: Final = np.uint64(31)


@dataclass(frozen=True, slots=True)
class Page:
    """A range of matches to shuffle, in order of (id_hash, id)."""

    ids: tuple[str, ...]
    hashes: NDArray[np.uint64]


def make_page(ids: Sequence[str], hashes: Sequence[int] | NDArray[np.int64]) -> Page:
    """A page of post ids in order of their (signed 64-bit id_hash, id)."""
    return Page(tuple(ids), np.array(hashes, dtype=np.int64).view(np.uint64))


def shuffle_key(display_id: str, block_id: UUID, loop: int) -> int:
    """The 64-bit key of one block of one display in one loop."""
    name = f"{display_id}|{block_id}|{loop}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Post ids in random order: by page, within a page by the keyed hash, then by id.

    A page is shuffled when the iteration reaches it. A new post in a page moves no other post.
    """

    pages: Iterable[Page]
    key: int

    def __iter__(self) -> Iterator[str]:
        for page in self.pages:
            ids = page.ids
            # The sort is stable and ids ascend, so posts of equal hash stay ordered by id.
            order = np.argsort(_mixed(page.hashes, self.key), kind="stable")
            yield from map(ids.__getitem__, order.tolist())


def _mixed(hashes: NDArray[np.uint64], key: int) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 over ``hashes`` XOR ``key``; it maps one to one."""
    mixed = hashes ^ np.uint64(key)
    mixed ^= mixed >> _SHIFT_30
    mixed *= _MULTIPLIER_1
    mixed ^= mixed >> _SHIFT_27
    mixed *= _MULTIPLIER_2
    mixed ^= mixed >> _SHIFT_31
    return mixed

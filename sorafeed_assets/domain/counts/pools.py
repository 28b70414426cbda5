"""Gathering the candidates of many terms in one pass over the posts, in bounded memory."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.counts.counting import SHAPES

PoolName = tuple[str, str, str]
"""A term, a shape, an order."""

NEWEST: Final = "newest"
RANDOM: Final = "random"
POOLS: Final = (NEWEST, RANDOM)

# From this many gathered posts on, sorting and cutting them pays off.
_MANY: Final = 200_000
_NO_LIMIT: Final = np.iinfo(np.int64).max


class Candidate(NamedTuple):
    """One post for one term's pool; ``posted_at`` in microseconds since 2000-01-01 UTC."""

    term: str
    size_class: str
    pool: str
    post_id: str
    posted_at: int
    id_hash: int


class PoolDigest(NamedTuple):
    """A digest of a pool's posts, independent of their order.

    It has their number, and the XOR of their hashes, of their times, and of both multiplied.
    """

    posts: int
    hashes: int
    posted_at: int
    products: int


# The low bits that are multiplied, so that the product fits 64 bits; the same in storage.
LOW_BITS: Final = 2**31 - 1


class _Posts(NamedTuple):
    """Parallel arrays: the pool's number, the place in its order, and the post."""

    keys: Rows
    order: Rows
    ids: NDArray[np.object_]
    posted_at: Rows
    hashes: Rows

    def take(self, index: Any) -> "_Posts":
        return _Posts(*(column[index] for column in self))


class _Gathered:
    """The best posts so far of all pools of one order; a new one must reach ``limits``."""

    def __init__(self, pools: int, size: int) -> None:
        self._size = size
        self.limits = np.full(pools, _NO_LIMIT, dtype=np.int64)
        self._parts: list[_Posts] = []
        self._pending = 0
        self._kept = 0

    def add(self, posts: _Posts) -> None:
        self._parts.append(posts)
        self._pending += len(posts.keys)
        if self._pending > max(_MANY, self._kept):
            self.best()

    def best(self) -> _Posts | None:
        """The first K of each pool, and all posts that tie with the last of them."""
        if not self._parts:
            return None
        if not self._pending:
            return self._parts[0]
        posts = _Posts(*(np.concatenate(columns) for columns in zip(*self._parts, strict=True)))
        posts = posts.take(np.lexsort((posts.order, posts.keys)))
        begins = np.flatnonzero(np.diff(posts.keys, prepend=-1))
        lengths = np.diff(begins, append=len(posts.keys))
        full = lengths >= self._size
        last = begins[full] + self._size - 1
        keys = posts.keys[last]
        self.limits[keys] = np.minimum(self.limits[keys], posts.order[last])
        best = posts.take(posts.order <= self.limits[posts.keys])
        self._parts = [best]
        self._kept, self._pending = len(best.keys), 0
        return best


class PoolGatherer:
    """Keeps, per term, shape and pool, the first K posts, and all that tie with the last.

    Args:
        terms: the terms by the numbers that `add` is given.
        size: K.
        bounds: (term, shape, pool) → the last order value that can enter the pool, if any:
            microseconds for ``newest``, the hash for ``random``.
    """

    def __init__(
        self,
        terms: Sequence[str],
        size: int,
        bounds: Mapping[PoolName, int] | None = None,
    ) -> None:
        self._terms = terms
        pools = len(terms) * len(SHAPES)
        self._gathered = {pool: _Gathered(pools, size) for pool in POOLS}
        numbers = {term: number for number, term in enumerate(terms)}
        shapes = {shape.value: number for number, shape in enumerate(SHAPES)}
        for (term, shape, pool), bound in (bounds or {}).items():
            if term in numbers:
                key = numbers[term] * len(SHAPES) + shapes[shape]
                self._gathered[pool].limits[key] = -bound if pool == NEWEST else bound

    def add(
        self,
        numbers: Rows,
        rows: Rows,
        *,
        shapes: Rows,
        posted_at: Rows,
        hashes: Rows,
        ids: Callable[[int], str],
    ) -> None:
        """Offer (number of a term, row) pairs; a row indexes ``ids`` and the arrays."""
        from sorafeed_assets.domain.counts.reaching import reaching

        for pool, order in ((NEWEST, -posted_at), (RANDOM, hashes)):
            gathered = self._gathered[pool]
            good = reaching(numbers, rows, shapes, order, gathered.limits, len(SHAPES))
            if not len(good):
                continue
            kept = rows[good]
            unique, inverse = np.unique(kept, return_inverse=True)
            names = np.array([ids(row) for row in unique.tolist()], dtype=object)[inverse]
            keys = numbers[good] * len(SHAPES) + shapes[kept]
            gathered.add(_Posts(keys, order[kept], names, posted_at[kept], hashes[kept]))

    def digests(self) -> dict[PoolName, PoolDigest]:
        """The digest of everything gathered, per pool; more than K posts where posts tie."""
        found: dict[PoolName, PoolDigest] = {}
        for pool, gathered in self._gathered.items():
            posts = gathered.best()
            if posts is None or not len(posts.keys):
                continue
            begins = np.flatnonzero(np.diff(posts.keys, prepend=-1))
            columns = (
                posts.hashes,
                posts.posted_at,
                (posts.hashes & LOW_BITS) * (posts.posted_at & LOW_BITS),
            )
            lengths = np.diff(begins, append=len(posts.keys)).tolist()
            xors = [np.bitwise_xor.reduceat(column, begins).tolist() for column in columns]
            names = self._names(posts.keys[begins], pool)
            found.update(zip(names, map(PoolDigest, lengths, *xors), strict=True))
        return found

    def _names(self, keys: Rows, pool: str) -> list[PoolName]:
        terms, shapes = np.divmod(keys, len(SHAPES))
        return [
            (self._terms[term], SHAPES[shape].value, pool)
            for term, shape in zip(terms.tolist(), shapes.tolist(), strict=True)
        ]

    def candidates(self, but: Container[PoolName] = ()) -> Iterator[Candidate]:
        """Everything gathered, except the pools ``but``; may include posts beyond the first K."""
        for pool, gathered in self._gathered.items():
            posts = gathered.best()
            if posts is None:
                continue
            keys, inverse = np.unique(posts.keys, return_inverse=True)
            names = self._names(keys, pool)
            posts = posts.take(np.array([name not in but for name in names], dtype=bool)[inverse])
            for (term, shape, _), post_id, posted_at, id_hash in zip(
                self._names(posts.keys, pool),
                posts.ids.tolist(),
                posts.posted_at.tolist(),
                posts.hashes.tolist(),
                strict=True,
            ):
                yield Candidate(term, shape, pool, post_id, posted_at, id_hash)

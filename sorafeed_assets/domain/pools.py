"""Gathering candidates in passing: bounded memory, however many posts match."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from sorafeed_assets.domain.counting import SHAPES, Rows, first_k
from sorafeed_assets.domain.search import SizeClass

NEWEST: Final = "newest"
RANDOM: Final = "random"
POOLS: Final = (NEWEST, RANDOM)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One post for one term's pool; ``posted_at`` in microseconds since 2000-01-01 UTC."""

    term: str
    size_class: SizeClass
    pool: str
    post_id: str
    posted_at: int
    id_hash: int


@dataclass(slots=True)
class _Gathered:
    """The best posts of one pool so far, and the order value that a new one has to reach."""

    order: list[Rows] = field(default_factory=list)
    posts: list[tuple[str, int, int]] = field(default_factory=list)
    limit: int | None = None


class PoolGatherer:
    """Keeps, per term, shape and pool, a superset of the first K: all that tie are kept too."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pools: dict[tuple[str, int, str], _Gathered] = {}

    def add(
        self,
        term: str,
        *,
        shapes: Rows,
        posted_at: Rows,
        hashes: Rows,
        ids: Callable[[int], str],
        rows: Rows,
    ) -> None:
        """Offer matching ``rows``; the arrays are parallel to them, ``ids`` reads a row's id."""
        for shape in range(len(SHAPES)):
            of_shape = np.flatnonzero(shapes == shape)
            if not len(of_shape):
                continue
            for pool, order in ((NEWEST, -posted_at[of_shape]), (RANDOM, hashes[of_shape])):
                gathered = self._pools.setdefault((term, shape, pool), _Gathered())
                kept = of_shape
                if gathered.limit is not None:
                    good = order <= gathered.limit
                    order, kept = order[good], of_shape[good]
                best = first_k(order, self._size)
                self._keep(gathered, order[best], kept[best], posted_at, hashes, ids, rows)

    def _keep(
        self,
        gathered: _Gathered,
        order: Rows,
        kept: Rows,
        posted_at: Rows,
        hashes: Rows,
        ids: Callable[[int], str],
        rows: Rows,
    ) -> None:
        if not len(kept):
            return
        gathered.order.append(order)
        gathered.posts.extend(
            (ids(int(rows[index])), int(posted_at[index]), int(hashes[index]))
            for index in kept.tolist()
        )
        if len(gathered.posts) > 2 * self._size:
            whole = np.concatenate(gathered.order)
            best = first_k(whole, self._size)
            gathered.order = [whole[best]]
            gathered.posts = [gathered.posts[index] for index in best.tolist()]
            gathered.limit = int(whole[best].max())

    def candidates(self) -> Iterator[Candidate]:
        """Everything gathered; some of it may be beyond the first K."""
        for (term, shape, pool), gathered in self._pools.items():
            for post_id, posted_at, id_hash in gathered.posts:
                yield Candidate(term, SHAPES[shape], pool, post_id, posted_at, id_hash)

"""A synthetic catalogue: which posts match a term at a moment, in play order.

Posts are numbered as they are posted. Their texts are not made: of each term the newest matches are
drawn, each post matching with the term's share.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.domain.timelines.plan import Candidates
from sorafeed_assets.domain.timelines.shuffle import Page, Shuffled, make_page

Numbers = NDArray[np.int64]

POSTS_PER_DAY: Final = 120_000
_DAY_SECONDS: Final = 86_400.0
# No simulated display comes to the end of so many matches of a term.
_MOST_MATCHES: Final = 5_000
_SHAPES: Final = {Format.WIDE: (0.0, 0.53), Format.TALL: (0.53, 0.98), Format.MIXED: (0.0, 1.0)}
# Of the posts, those that match the most frequent term.
_LARGEST_SHARE: Final = 0.1
_NEVER: Final = math.inf
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Rates:
    """What happens in a day: new posts, deleted posts, and edits of each playlist."""

    posts: float = POSTS_PER_DAY
    deletes: float = 100.0
    edits: float = 1.0


USUAL_RATES: Final = Rates()


@dataclass(slots=True)
class Source:
    """The matches of a term in a format.

    Attributes:
        numbers: the posts that match, ascending, including those of the future.
        hashes: their hashes, by which random pools are ordered.
        pages: the pages of the moment that was asked for last, as displays follow in time.
        changes: by fetch mode the same for `Catalogue.next_change`.
    """

    numbers: Numbers
    hashes: Numbers
    by_hash: Numbers = field(init=False)
    pages: "tuple[int, int, _Pages] | None" = None
    changes: dict[FetchMode, tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_hash = np.lexsort((self.numbers, self.hashes))


class Catalogue:
    """The posts of a simulated time; the same arguments give the same catalogue.

    Args:
        shares: term → the share of all posts that match it.
        posts: how many there are at second 0.
        rates: what happens in a day.
        seconds: how long is simulated.
        seed: of the drawing.
        pool_size: the candidates of a pool.
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        *,
        posts: int,
        rates: Rates,
        seconds: float,
        seed: int,
        pool_size: int = 500,
    ) -> None:
        self.terms: Final = tuple(shares)
        self._shares = dict(shares)
        self._posts = posts
        self._per_second = rates.posts / _DAY_SECONDS
        self._last = posts + math.floor(seconds * self._per_second)
        self._seed = seed
        self._pool_size = pool_size
        self._matching: dict[str, tuple[Numbers, Numbers]] = {}
        self._sources: dict[tuple[str, Format], Source] = {}
        rng = np.random.default_rng([seed, 1])
        count = rng.poisson(rates.deletes * seconds / _DAY_SECONDS)
        moments = np.sort(rng.random(count) * seconds).tolist()
        # Deleted posts are among the newest, which plans use.
        gone = np.maximum(self._last - 1 - rng.geometric(1e-3, count), 0).tolist()
        self.deletes: Final[Mapping[int, float]] = dict(zip(gone, moments, strict=True))
        """The posts that are deleted, and when."""
        self._moments = sorted(self.deletes.values())

    def newest(self, second: float) -> int:
        """The number of posts at a second, which may be before the first."""
        number = self._posts + math.floor(second * self._per_second)
        return max(0, min(number, self._last))

    def source(self, term: str, format_: Format) -> Source:
        """The matches of a term in a format."""
        key = (term, format_)
        if key not in self._sources:
            if term not in self._matching:
                drawn = self._matches(term)
                self._matching[term] = (drawn, id_hashes(drawn))
            numbers, hashes = self._matching[term]
            low, high = _SHAPES[format_]
            shape = _mixed(numbers, self._seed).view(np.uint64) / 2.0**64
            chosen = (shape >= low) & (shape < high)
            self._sources[key] = Source(numbers[chosen], hashes[chosen])
        return self._sources[key]

    def _matches(self, term: str) -> Numbers:
        """The newest matches of a term, by the gaps between them."""
        share = self._shares[term]
        if share <= 0:
            return np.zeros(0, dtype=np.int64)
        rng = np.random.default_rng([self._seed, 2, self.terms.index(term)])
        most = _MOST_MATCHES + math.ceil((self._last - self._posts) * share)
        numbers = self._last - np.cumsum(rng.geometric(share, most).astype(np.int64))
        return numbers[numbers >= 0][::-1].copy()

    def candidates(
        self, term: str, format_: Format, mode: FetchMode, second: float, key: int
    ) -> Candidates:
        """The matches at a second in play order; ``key`` shuffles those of a random block."""
        source = self.source(term, format_)
        there = int(np.searchsorted(source.numbers, self.newest(second)))
        if mode is FetchMode.NEWEST:
            return Candidates(_Newest(source.numbers[:there], self.deletes, second), complete=True)
        return Candidates(Shuffled(self._pages(source, there, second), key), complete=True)

    def _pages(self, source: Source, there: int, second: float) -> "_Pages":
        """The matches by hash."""
        gone = bisect_right(self._moments, second)
        if source.pages is not None and source.pages[:2] == (there, gone):
            return source.pages[2]
        order = source.by_hash[source.by_hash < there]
        numbers, hashes = source.numbers[order], source.hashes[order]
        if gone:
            deleted = [number for number, at in self.deletes.items() if at <= second]
            left = ~np.isin(numbers, deleted)
            numbers, hashes = numbers[left], hashes[left]
        source.pages = (there, gone, _Pages(numbers, hashes, self._pool_size))
        return source.pages[2]

    def next_change(self, term: str, format_: Format, mode: FetchMode, second: float) -> float:
        """When a post next enters the pool of a block after a second; infinity if none does."""
        source = self.source(term, format_)
        there = int(np.searchsorted(source.numbers, self.newest(second)))
        known = source.changes.get(mode)
        if known is None or known[0] != there:
            known = source.changes[mode] = (there, self._change_after(source, mode, there))
        return known[1]

    def _change_after(self, source: Source, mode: FetchMode, there: int) -> float:
        """When a post next enters a pool of the first ``there`` matches."""
        if mode is FetchMode.RANDOM and there >= self._pool_size:
            order = source.by_hash[source.by_hash < there]
            bound = source.hashes[order[self._pool_size - 1]]
            later = np.flatnonzero(source.hashes[there:] <= bound)
            if not len(later):
                return _NEVER
            there += int(later[0])
        if there >= len(source.numbers):
            return _NEVER
        # A post is there from the second on in which it is counted.
        return (int(source.numbers[there]) + 1 - self._posts) / self._per_second + _ROUNDING

    def new_posts(self, seconds: float) -> int:
        """How many posts arrive in the first seconds."""
        return self.newest(seconds) - self._posts


@dataclass(frozen=True, slots=True)
class _Pages:
    """Posts in the pages in which the engine reads them, each made when it is first read."""

    numbers: Numbers
    hashes: Numbers
    pool_size: int
    made: list[Page] = field(default_factory=list)

    def __iter__(self) -> Iterator[Page]:
        turn, first, size = 0, 0, self.pool_size
        while first < len(self.numbers):
            if turn == len(self.made):
                part = slice(first, first + size)
                ids = tuple(map(post_id, self.numbers[part].tolist()))
                self.made.append(make_page(ids, self.hashes[part].tolist()))
            yield self.made[turn]
            turn, first = turn + 1, first + size
            size = first + self.pool_size if first > self.pool_size else 2 * self.pool_size


@dataclass(frozen=True, slots=True)
class _Newest:
    """Post ids, newest first, without those that are deleted by a second."""

    numbers: Numbers
    deletes: Mapping[int, float]
    second: float

    def __iter__(self) -> Iterator[str]:
        for number in self.numbers[::-1]:
            if self.deletes.get(int(number), _NEVER) > self.second:
                yield post_id(int(number))


def zipf_shares(terms: Sequence[str]) -> dict[str, float]:
    """Shares that fall as in real texts; the last term in twenty matches nothing."""
    with_posts = max(1, len(terms) - len(terms) // 20)
    return {
        term: _LARGEST_SHARE / (rank + 1) ** 1.3 if rank < with_posts else 0.0
        for rank, term in enumerate(terms)
    }


def post_id(number: int) -> str:
    """The id of a post; ids ascend as their numbers do."""
    return f"s{number:010d}"


def post_number(name: str) -> int:
    """The number of a post."""
    return int(name[1:])


def id_hashes(numbers: Numbers) -> Numbers:
    """The hashes of posts, as the table has them: the first 8 bytes of the id's MD5."""
    digests = (
        hashlib.md5(post_id(number).encode(), usedforsecurity=False).digest()[:8]
        for number in numbers.tolist()
    )
    return np.frombuffer(b"".join(digests), dtype=">i8").astype(np.int64)


def _mixed(numbers: Numbers, seed: int) -> Numbers:
    """Other 64 bits for each number (SplitMix64)."""
    mixed = numbers.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).view(np.int64)

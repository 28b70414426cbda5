"""One refresh of counts and pools, inside one transaction."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.counting import SHAPES, TermMatcher, counts_by_format, join_texts
from sorafeed_assets.domain.counts.pools import PoolGatherer, PoolName
from sorafeed_assets.services.counts.lineage import counts_changes, pools_change, posts_changes
from sorafeed_assets.storage.catalog import estimates, outbox
from sorafeed_assets.storage.catalog.stream import Chunk, read_ahead, stream_day, stream_matches
from sorafeed_assets.storage.counts import daily as counts
from sorafeed_assets.storage.counts import pools
from sorafeed_assets.storage.lineage_records import write_changes
from sorafeed_assets.storage.playlists.changes import note_plans_with, note_users_of

Progress = Callable[[int, int], None]

# Fewer changes than this are always cheaper to apply: for a day that is counted again, all pools
# are searched for posts that no longer match.
_FEW_CHANGES: Final = 10_000
# The most differences per batch, of one day or several: unlike a pass, they are held in memory.
_MANY_CHANGES: Final = 50_000
_CHANGES_AT_ONCE: Final = 20_000
# Reading and matching text costs about this many times the planner's cost of reading it.
_PASS_FACTOR: Final = 3.0


@dataclass(frozen=True, slots=True)
class CountsRefresh:
    """What a refresh did.

    Attributes:
        days: days whose changes were applied, in order.
        recounted_days: those of the days that were counted from their text.
        changes: outbox rows taken.
        posts_read: posts whose text was read by passes.
        terms_counted: terms that this refresh counted for the first time.
        rows_written: rows of daily counts inserted, changed or removed.
        pools_changed: candidate pools that gained or lost a post.
    """

    days: tuple[date, ...]
    recounted_days: tuple[date, ...]
    changes: int
    posts_read: int
    terms_counted: int
    rows_written: int
    pools_changed: int
    seconds: float

    def metadata(self) -> dict[str, int | float]:
        """The figures, for plotting."""
        return {
            name: len(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class _Term:
    query: SearchQuery
    is_counted: bool


class CountsRun:
    """A refresh within the transaction of ``connection``, which must be REPEATABLE READ."""

    def __init__(
        self, connection: Connection, pool_size: int, on_progress: Progress | None
    ) -> None:
        self._connection = connection
        self._size = pool_size
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._advanced: dict[date, tuple[int, int]] = {}
        self._refills: set[pools.PoolKey] = set()
        self._touched: set[pools.PoolKey] = set()
        self._refills_losses = False
        # Whether pools hold every match up to their last post, and counts agree with them.
        self._pools_are_whole = True
        self._since: datetime | None = None
        self._noted: set[str] = set()
        self._edited: set[str] = set()
        # None: it is unknown which terms the edited posts matched.
        self._edited_terms: set[str] | None = set()
        self._posts_read = 0
        self._rows_written = 0

    def refresh(
        self, days: Collection[date] | None, *, recount: bool, new_terms: bool = True
    ) -> CountsRefresh:
        """Run the refresh."""
        started = time.perf_counter()
        counts.lock_counts(self._connection)
        terms = [
            _Term(SearchQuery(row.phrase, tuple(row.exclusions)), row.is_counted)
            for row in counts.read_terms(self._connection)
            if new_terms or row.is_counted
        ]
        known = counts.known_days(self._connection)
        new = [term.query for term in terms if not term.is_counted]
        asked = set(known) if days is None else set(days) & set(known)
        waiting = outbox.pending_days(self._connection)
        pending = {day.catalog_day: day for day in waiting if new or day.catalog_day in asked}
        self._since = min((day.since for day in pending.values()), default=None)
        scratch = {day for day, waiting in pending.items() if _is_worth_a_pass(waiting)}
        scratch |= asked if recount else set()
        by_difference = sorted(set(pending) - scratch)
        self._pools_are_whole = not scratch and len(pending) == len(waiting)
        self._apply_differences([t.query for t in terms if t.is_counted], by_difference, pending)
        self._count_from_text(terms, known, scratch, pending)
        self._mend_pools({term.query.term: term.query for term in terms})
        counts.advance_days(self._connection, self._advanced)
        counts.mark_counted(self._connection, [query.term for query in new])
        self._record()
        return CountsRefresh(
            days=tuple(sorted(self._advanced)),
            recounted_days=tuple(sorted(scratch)),
            changes=sum(day.changes for day in pending.values()),
            posts_read=self._posts_read,
            terms_counted=len(new),
            rows_written=self._rows_written,
            pools_changed=len(self._touched | self._refills),
            seconds=round(time.perf_counter() - started, 3),
        )

    def _record(self) -> None:
        """Record the new state of days and pools, and note the displays that use them."""
        if self._advanced or self._rows_written or self._touched or self._refills:
            write_changes(
                self._connection,
                [
                    *posts_changes(self._connection, None),
                    *counts_changes(self._connection, None),
                    pools_change(self._connection),
                ],
            )
        self._noted = note_users_of(self._connection, self._changed_pools, self._since)
        note_plans_with(self._connection, self._edited, self._edited_terms, self._since)

    @property
    def _changed_pools(self) -> set[tuple[str, str, str]]:
        changed = self._touched | self._refills
        return {(key.term, key.size_class, key.pool) for key in changed}

    def note_latecomers(self, engine: Engine) -> None:
        """Note displays that began to use a pool while this transaction changed it.

        The refresh did not see their blocks, and their plans did not see its writes.
        """
        if self._changed_pools:
            with engine.begin() as connection:
                note_users_of(connection, self._changed_pools, self._since, self._noted)

    def _apply_differences(
        self,
        queries: Sequence[SearchQuery],
        days: Sequence[date],
        pending: dict[date, outbox.PendingDay],
    ) -> None:
        """Apply the days' changes in batches, because their texts are held in memory."""
        matcher = TermMatcher(queries)
        batches = list(_in_batches(days, pending))
        # A post that changed its day may be removed by one batch and added back by no other.
        self._refills_losses = len(batches) > 1
        for some in batches:
            self._apply_batch(matcher, queries, some, pending)

    def _apply_batch(
        self,
        matcher: TermMatcher,
        queries: Sequence[SearchQuery],
        days: Sequence[date],
        pending: dict[date, outbox.PendingDay],
    ) -> None:
        posts = outbox.consume(self._connection, days)
        bounds = pools.pool_bounds(self._connection, self._size)
        gatherer = PoolGatherer([query.term for query in queries], self._size, bounds)
        rows: list[tuple[str, str, date, int]] = []
        for day in days:
            of_day: list[Any] = [post for post in posts if post.catalog_day == day]
            before = [post for post in of_day if post.was_there]
            after = [post for post in of_day if post.is_there]
            gone = matcher.match(*join_texts([post.old_text for post in before]))
            come = matcher.match(*join_texts([post.text for post in after]))
            self._note_edits(queries, before, gone[0])
            shapes = _column([post.shape for post in after])
            gatherer.add(
                *come,
                shapes=shapes,
                posted_at=_column([post.posted_at for post in after]),
                hashes=_column([post.id_hash for post in after]),
                ids=[post.post_id for post in after].__getitem__,
            )
            tally = _tally(queries, *come, shapes)
            tally -= _tally(queries, *gone, _column([post.old_shape for post in before]))
            rows.extend(_count_rows(queries, day, tally))
            waiting = pending[day]
            posts_now = (waiting.post_count or 0) + len(after) - len(before)
            self._advanced[day] = (waiting.changes, posts_now)
        counts.stage(self._connection, rows)
        self._rows_written += counts.apply_differences(self._connection)
        self._pool_differences(gatherer, [post.post_id for post in posts if post.was_there])

    def _note_edits(
        self, queries: Sequence[SearchQuery], before: Sequence[Any], found: Rows
    ) -> None:
        """Note edited posts, which a plan may hold although no pool does, and what they matched."""
        self._edited.update(post.post_id for post in before)
        if self._edited_terms is not None:
            self._edited_terms.update(queries[number].term for number in np.unique(found))

    def _pool_differences(self, gatherer: PoolGatherer, changed: Sequence[str]) -> None:
        gathered = pools.stage_candidates(self._connection, gatherer.candidates())
        if changed:
            self._note_losses(pools.drop_changed(self._connection, changed))
        if gathered:
            self._touched |= pools.merge_staged(self._connection)

    def _note_losses(self, lost: Sequence[pools.PoolKey]) -> None:
        """Note pools to refill: a full pool may have had more matches, others held every match."""
        if not lost:
            return
        losses = Counter(lost)
        self._touched |= losses.keys()
        left = pools.pool_sizes(self._connection)
        self._refills |= {
            key
            for key, posts in losses.items()
            if self._refills_losses or left.get(key, 0) + posts >= self._size
        }

    def _count_from_text(
        self,
        terms: Sequence[_Term],
        known: Sequence[date],
        scratch: set[date],
        pending: dict[date, outbox.PendingDay],
    ) -> None:
        new = [term.query for term in terms if not term.is_counted]
        if not scratch and not new:
            return
        others = sorted(set(known) - scratch)
        by_query = bool(new and others) and self._queries_are_cheaper(new)
        rows: list[tuple[str, str, date, int]] = []
        everything = [term.query.term for term in terms]
        gatherer = PoolGatherer(everything, self._size)
        if by_query:
            rows.extend(self._count_by_query(new, gatherer, everything))
        queries = [t.query for t in terms if t.is_counted or not by_query]
        passes = [(day, queries) for day in sorted(scratch, reverse=True)]
        if new and not by_query:
            passes += [(day, new) for day in reversed(others)]
        rows.extend(self._pass(passes, gatherer, everything, scratch, pending))
        counts.stage(self._connection, rows)
        self._rows_written += counts.replace(self._connection, scratch, everything)
        # All days were read, so the gathered posts are the whole pool; most pools are unchanged.
        unchanged = self._unchanged_pools(gatherer) if scratch and not others else set()
        pools.stage_candidates(self._connection, gatherer.candidates(but=unchanged))
        if scratch and others:
            self._note_losses(pools.drop_days(self._connection, scratch))
        elif scratch:
            self._touched |= set(pools.drop_others(self._connection, unchanged))
        self._touched |= pools.merge_staged(self._connection)
        if scratch:
            if edited := outbox.edited_posts(self._connection, scratch):
                self._edited |= edited
                self._edited_terms = None
            outbox.discard(self._connection, scratch)

    def _unchanged_pools(self, gatherer: PoolGatherer) -> set[PoolName]:
        gathered, stored = gatherer.digests(), pools.pool_digests(self._connection)
        return {name for name, digest in gathered.items() if stored.get(name) == digest}

    def _queries_are_cheaper(self, queries: Sequence[SearchQuery]) -> bool:
        limit = _PASS_FACTOR * estimates.cost_of_reading_all(self._connection)
        cost = 0.0
        for query in queries:
            cost += estimates.cost_of_matching(self._connection, query)
            if cost > limit:
                return False
        return True

    def _count_by_query(
        self, queries: Sequence[SearchQuery], gatherer: PoolGatherer, terms: Sequence[str]
    ) -> Iterator[tuple[str, str, date, int]]:
        """Read the posts of each query, which are counted and offered to its pools."""
        for number, query in enumerate(queries):
            tally: dict[date, Any] = defaultdict(lambda: np.zeros(len(SHAPES), dtype=np.int64))
            for chunk in stream_matches(self._connection, query):
                days, of_rows = chunk.days()
                rows = np.arange(len(chunk))
                for day, by_shape in zip(
                    days, _tally(days, of_rows, rows, chunk.shapes), strict=True
                ):
                    tally[day] += by_shape
                gatherer.add(
                    np.full(len(chunk), terms.index(query.term), dtype=np.int64),
                    rows,
                    shapes=chunk.shapes,
                    posted_at=chunk.posted_at,
                    hashes=chunk.hashes,
                    ids=chunk.post_id,
                )
            for day, by_shape in sorted(tally.items()):
                yield from _count_rows([query], day, by_shape[None, :])
            self._on_progress(number + 1, len(queries))

    def _pass(
        self,
        passes: Sequence[tuple[date, Sequence[SearchQuery]]],
        gatherer: PoolGatherer,
        terms: Sequence[str],
        scratch: set[date],
        pending: dict[date, outbox.PendingDay],
    ) -> Iterator[tuple[str, str, date, int]]:
        """Read the text of days, each for its queries; newest first, which fills pools early."""
        number_of = {term: number for number, term in enumerate(terms)}
        matchers: dict[int, tuple[TermMatcher, Rows]] = {}
        for _, queries in passes:
            if id(queries) not in matchers:
                numbers = _column([number_of[query.term] for query in queries])
                matchers[id(queries)] = (TermMatcher(queries), numbers)
        tally, posts = np.zeros(0, dtype=np.int64), 0
        # Postgres and decoding use one core, matching the other.
        with closing(read_ahead(self._chunks([day for day, _ in passes]))) as chunks:
            for number, chunk in chunks:
                day, queries = passes[number]
                matcher, numbers = matchers[id(queries)]
                if not posts:
                    tally = np.zeros((len(queries), len(SHAPES)), dtype=np.int64)
                if chunk is not None:
                    posts += len(chunk)
                    found, rows = matcher.match(chunk.data, chunk.starts, chunk.ends)
                    tally += _tally(queries, found, rows, chunk.shapes)
                    gatherer.add(
                        numbers[found],
                        rows,
                        shapes=chunk.shapes,
                        posted_at=chunk.posted_at,
                        hashes=chunk.hashes,
                        ids=chunk.post_id,
                    )
                    continue
                yield from _count_rows(queries, day, tally)
                self._posts_read += posts
                if day in scratch:
                    changes = pending[day].changes if day in pending else 0
                    self._advanced[day] = (changes, posts)
                posts = 0
                self._on_progress(number + 1, len(passes))

    def _chunks(self, days: Sequence[date]) -> Generator[tuple[int, Chunk | None], None, None]:
        """(number of the day, chunk), and None at the end of a day."""
        for number, day in enumerate(days):
            for chunk in stream_day(self._connection, day):
                yield number, chunk
            yield number, None

    def _mend_pools(self, queries: dict[str, SearchQuery]) -> None:
        if not self._refills_losses and self._pools_are_whole:
            self._extend_pools(queries)
        else:
            for key in sorted(self._refills):
                pools.refill_pool(self._connection, key, queries[key.term], self._size)
        if self._touched or self._refills:
            pools.trim_pools(self._connection, self._size)

    def _extend_pools(self, queries: dict[str, SearchQuery]) -> None:
        """Continue pools that lost posts after their last one, as far as more posts match."""
        if not self._refills:
            return
        terms = {key.term for key in self._refills}
        matching = pools.matching_by_shape(self._connection, terms)
        sizes = pools.pool_sizes(self._connection)
        for key in sorted(self._refills):
            there = sizes.get(key, 0)
            matches = matching.get((key.term, key.size_class), self._size)
            missing = min(self._size, matches) - there
            query = queries[key.term]
            if missing > 0 and not pools.extend_pool(self._connection, key, query, missing):
                pools.refill_pool(self._connection, key, query, self._size)


def _is_worth_a_pass(day: outbox.PendingDay) -> bool:
    if day.post_count is None or day.changes > _MANY_CHANGES:
        return True
    return day.changes > max(_FEW_CHANGES, day.post_count // 2)


def _in_batches(
    days: Sequence[date], pending: dict[date, outbox.PendingDay]
) -> Iterator[list[date]]:
    """Batches of consecutive days with a bounded number of changes; at least one day each."""
    batch: list[date] = []
    changes = 0
    for day in days:
        if batch and changes + pending[day].changes > _CHANGES_AT_ONCE:
            yield batch
            batch, changes = [], 0
        batch.append(day)
        changes += pending[day].changes
    if batch:
        yield batch


def _column(values: Sequence[int]) -> Rows:
    return np.array(values, dtype=np.int64)


def _tally(kinds: Sequence[object], found: Rows, rows: Rows, shapes: Rows) -> Rows:
    """The number of (kind, row) pairs for each kind, a query or a day, and shape."""
    counted = np.bincount(found * len(SHAPES) + shapes[rows], minlength=len(kinds) * len(SHAPES))
    return counted.reshape(-1, len(SHAPES)).astype(np.int64)


def _count_rows(
    queries: Sequence[SearchQuery], day: date, tally: Any
) -> Iterator[tuple[str, str, date, int]]:
    for query, by_shape in zip(queries, tally.tolist(), strict=True):
        for format_, count in counts_by_format(by_shape).items():
            if count:
                yield query.term, format_.value, day, count

"""Refreshing counts and pools: changes as differences, whole days and new terms from the text."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.counting import TermMatcher, join_texts
from sorafeed_assets.domain.counts.pools import PoolGatherer
from sorafeed_assets.services.counts.from_text import (
    count_by_query,
    count_days,
    queries_are_cheaper,
)
from sorafeed_assets.services.counts.lineage import counts_changes, pools_change, posts_changes
from sorafeed_assets.services.counts.pool_changes import PoolChanges
from sorafeed_assets.services.counts.tallies import CountRow, column, count_rows, tally_of
from sorafeed_assets.storage.catalog import blocklist, outbox
from sorafeed_assets.storage.counts import daily as counts
from sorafeed_assets.storage.counts.pools import pool_bounds
from sorafeed_assets.storage.lineage_records import write_changes
from sorafeed_assets.storage.playlists.changes import note_plans_with, note_users_of
from sorafeed_assets.storage.postgres.engine import snapshot

Progress = Callable[[int, int], None]

# Fewer changes than this are always cheaper to apply: for a day that is counted again, all pools
# are searched for posts that no longer match.
_FEW_CHANGES: Final = 10_000
# The most differences per batch, of one day or several: unlike a pass, they are held in memory.
_MANY_CHANGES: Final = 50_000
_CHANGES_AT_ONCE: Final = 20_000


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


def refresh_days(
    engine: Engine,
    days: Collection[date] | None,
    *,
    pool_size: int,
    recount: bool = False,
    new_terms: bool = True,
    on_progress: Progress | None = None,
) -> CountsRefresh:
    """Apply the changes of ``days`` (None: all days) to counts and candidate pools.

    New terms are first counted over the whole catalogue, which applies the changes of every
    day, as a change of the blocklist does; without ``new_terms`` they wait. ``recount`` counts the
    days again from their text. One transaction: all or nothing.
    """
    with snapshot(engine) as connection:
        run = CountsRun(connection, pool_size, on_progress)
        refresh = run.refresh(days, recount=recount, new_terms=new_terms)
    run.note_latecomers(engine)
    return refresh


class CountsRun:
    """A refresh within the transaction of ``connection``, which must be REPEATABLE READ."""

    def __init__(
        self, connection: Connection, pool_size: int, on_progress: Progress | None
    ) -> None:
        self._connection = connection
        self._size = pool_size
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._advanced: dict[date, tuple[int, int]] = {}
        self._pools = PoolChanges(connection, pool_size)
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
        # Posts whose exclusion changed are applied together, like edits; then all days are.
        noted = blocklist.note_changed(self._connection)
        terms = [
            _Term(SearchQuery(row.phrase, tuple(row.exclusions)), row.is_counted)
            for row in counts.read_terms(self._connection)
            if new_terms or row.is_counted
        ]
        known = counts.known_days(self._connection)
        new = [term.query for term in terms if not term.is_counted]
        asked = set(known) if days is None else set(days) & set(known)
        waiting = outbox.pending_days(self._connection)
        applies_all = bool(new) or noted is not None
        pending = {d.catalog_day: d for d in waiting if applies_all or d.catalog_day in asked}
        self._since = min((day.since for day in pending.values()), default=None)
        scratch = {day for day, waiting in pending.items() if _is_worth_a_pass(waiting)}
        scratch |= asked if recount else set()
        # Pools that lose posts in several batches are searched for one by one, which takes longer.
        scratch |= set(known) if (noted or 0) > _CHANGES_AT_ONCE else set()
        by_difference = sorted(set(pending) - scratch)
        self._apply_differences([t.query for t in terms if t.is_counted], by_difference, pending)
        self._count_from_text(terms, known, scratch, pending)
        if noted is not None:
            blocklist.mark_counted(self._connection)
        self._pools.mend(
            {term.query.term: term.query for term in terms},
            are_whole=not scratch and len(pending) == len(waiting),
        )
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
            pools_changed=len(self._pools.changed),
            seconds=round(time.perf_counter() - started, 3),
        )

    def _record(self) -> None:
        """Record the new state of days and pools, and note the displays that use them."""
        changed = self._pools.changed
        if self._advanced or self._rows_written or changed:
            write_changes(
                self._connection,
                [
                    *posts_changes(self._connection, None),
                    *counts_changes(self._connection, None),
                    pools_change(self._connection),
                ],
            )
        self._noted = note_users_of(self._connection, changed, self._since)
        note_plans_with(self._connection, self._edited, self._edited_terms, self._since)

    def note_latecomers(self, engine: Engine) -> None:
        """Note displays that began to use a pool while this transaction changed it.

        The refresh did not see their blocks, and their plans did not see its writes.
        """
        if changed := self._pools.changed:
            with engine.begin() as connection:
                note_users_of(connection, changed, self._since, self._noted)

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
        self._pools.refills_losses = len(batches) > 1
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
        bounds = pool_bounds(self._connection, self._size)
        gatherer = PoolGatherer([query.term for query in queries], self._size, bounds)
        rows: list[CountRow] = []
        for day in days:
            of_day: list[Any] = [post for post in posts if post.catalog_day == day]
            before = [post for post in of_day if post.was_there]
            after = [post for post in of_day if post.is_there]
            gone = matcher.match(*join_texts([post.old_text for post in before]))
            come = matcher.match(*join_texts([post.text for post in after]))
            self._note_edits(queries, before, gone[0])
            shapes = column([post.shape for post in after])
            gatherer.add(
                *come,
                shapes=shapes,
                posted_at=column([post.posted_at for post in after]),
                hashes=column([post.id_hash for post in after]),
                ids=[post.post_id for post in after].__getitem__,
            )
            tally = tally_of(queries, *come, shapes)
            tally -= tally_of(queries, *gone, column([post.old_shape for post in before]))
            rows.extend(count_rows(queries, day, tally))
            waiting = pending[day]
            posts_now = (waiting.post_count or 0) + len(after) - len(before)
            self._advanced[day] = (waiting.changes, posts_now)
        counts.stage(self._connection, rows)
        self._rows_written += counts.apply_differences(self._connection)
        self._pools.replace_posts(gatherer, [p.post_id for p in posts if p.was_there])

    def _note_edits(
        self, queries: Sequence[SearchQuery], before: Sequence[Any], found: Rows
    ) -> None:
        """Note edited posts, which a plan may hold although no pool does, and what they matched."""
        self._edited.update(post.post_id for post in before)
        if self._edited_terms is not None:
            self._edited_terms.update(queries[number].term for number in np.unique(found))

    def _count_from_text(
        self,
        terms: Sequence[_Term],
        known: Sequence[date],
        scratch: set[date],
        pending: dict[date, outbox.PendingDay],
    ) -> None:
        """Count all terms on the days ``scratch``, and new terms on the others too."""
        new = [term.query for term in terms if not term.is_counted]
        if not scratch and not new:
            return
        others = sorted(set(known) - scratch)
        by_query = bool(new and others) and queries_are_cheaper(self._connection, new)
        rows: list[CountRow] = []
        everything = [term.query.term for term in terms]
        gatherer = PoolGatherer(everything, self._size)
        for done, query in enumerate(new if by_query else (), 1):
            rows += count_by_query(self._connection, query, gatherer, everything)
            self._on_progress(done, len(new))
        queries = [t.query for t in terms if t.is_counted or not by_query]
        # The newest first, which fills pools early.
        passes = [(day, queries) for day in sorted(scratch, reverse=True)]
        if new and not by_query:
            passes += [(day, new) for day in reversed(others)]
        with closing(count_days(self._connection, passes, gatherer, everything)) as counted_days:
            for done, counted in enumerate(counted_days, 1):
                rows += counted.rows
                self._posts_read += counted.posts
                if counted.day in scratch:
                    waiting = pending.get(counted.day)
                    changes = 0 if waiting is None else waiting.changes
                    self._advanced[counted.day] = (changes, counted.posts)
                self._on_progress(done, len(passes))
        counts.stage(self._connection, rows)
        self._rows_written += counts.replace(self._connection, scratch, everything)
        self._pools.replace_days(gatherer, scratch, are_all=not others)
        if scratch:
            if edited := outbox.edited_posts(self._connection, scratch):
                self._edited |= edited
                self._edited_terms = None
            outbox.discard(self._connection, scratch)


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

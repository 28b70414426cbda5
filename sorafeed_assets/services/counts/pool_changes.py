"""What a refresh changes in the candidate pools: posts that come and go, and what is refilled."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.pools import PoolGatherer, PoolName
from sorafeed_assets.storage.counts import daily as counts
from sorafeed_assets.storage.counts import pools


class PoolChanges:
    """The changes of pools within one transaction.

    Args:
        connection: the transaction.
        size: how many posts a pool holds at most.

    Attributes:
        refills_losses: whether every pool that loses a post is filled again from the catalogue,
            even one that held every match.
    """

    def __init__(self, connection: Connection, size: int) -> None:
        self._connection = connection
        self._size = size
        self._touched: set[pools.PoolKey] = set()
        self._refills: set[pools.PoolKey] = set()
        self.refills_losses = False

    @property
    def changed(self) -> set[PoolName]:
        """The pools that gained or lost a post so far, or will be refilled."""
        return {(k.term, k.size_class, k.pool) for k in self._touched | self._refills}

    def replace_posts(self, gatherer: PoolGatherer, changed: Sequence[str]) -> None:
        """Put the gathered posts in place of the ``changed`` ones."""
        gathered = pools.stage_candidates(self._connection, gatherer.candidates())
        if changed:
            self._note_losses(pools.drop_changed(self._connection, changed))
        if gathered:
            self._touched |= pools.merge_staged(self._connection)

    def replace_days(
        self, gatherer: PoolGatherer, days: Collection[object], *, are_all: bool
    ) -> None:
        """Put the posts gathered from whole days in place of those that pools have of them.

        Of no days, they are added. If the days ``are_all`` that have posts, the gathered posts are
        the whole pools.
        """
        # Most pools are unchanged then.
        unchanged = self._unchanged(gatherer) if days and are_all else set()
        pools.stage_candidates(self._connection, gatherer.candidates(but=unchanged))
        if days and are_all:
            self._touched |= set(pools.drop_others(self._connection, unchanged))
        elif days:
            self._note_losses(pools.drop_days(self._connection, days))
        self._touched |= pools.merge_staged(self._connection)

    def _unchanged(self, gatherer: PoolGatherer) -> set[PoolName]:
        gathered, stored = gatherer.digests(), pools.pool_digests(self._connection)
        return {name for name, digest in gathered.items() if stored.get(name) == digest}

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
            if self.refills_losses or left.get(key, 0) + posts >= self._size
        }

    def mend(self, queries: Mapping[str, SearchQuery], *, are_whole: bool) -> None:
        """Refill the pools that lost posts, and trim those that have too many.

        Args:
            queries: by term.
            are_whole: whether pools hold every match up to their last post, and the counts agree
                with them: then a pool continues after its last post, instead of being filled again.
        """
        if are_whole and not self.refills_losses:
            self._extend(queries)
        else:
            for key in sorted(self._refills):
                pools.refill_pool(self._connection, key, queries[key.term], self._size)
        if self._touched or self._refills:
            pools.trim_pools(self._connection, self._size)

    def _extend(self, queries: Mapping[str, SearchQuery]) -> None:
        """Continue pools after their last post, as far as more posts match."""
        if not self._refills:
            return
        terms = {key.term for key in self._refills}
        matching = pools.matching_by_shape(self._connection, terms)
        sizes = pools.pool_sizes(self._connection)
        posts = sum(counts.post_counts(self._connection).values())
        for key in sorted(self._refills):
            there = sizes.get(key, 0)
            matches = matching.get((key.term, key.size_class), self._size)
            missing = min(self._size, matches) - there
            query = queries[key.term]
            share = matches / max(posts, matches, 1)
            if missing > 0 and not pools.extend_pool(
                self._connection, key, query, missing, share=share
            ):
                pools.refill_pool(self._connection, key, query, self._size)

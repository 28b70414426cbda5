"""How one process builds timelines: how far ahead, of which pools, by which flags and planners."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from sorafeed_assets.domain.timelines.plan import Start
from sorafeed_assets.domain.timelines.planners import Planners
from sorafeed_assets.services.flags import Flags, FlagValues
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.known_pools import KnownPools
from sorafeed_assets.services.timelines.rebuild import NO_STARTS, Outcomes, rebuild


class TimelineBuilder:
    """Builds timelines in transactions of its callers.

    Args:
        window: how many positions are queued ahead.
        pool_size: how many candidates of a query are read first.
        pools_kept: how many candidates are kept between transactions.
        flags: which planner plans a display, and which system drives it.
        planners: the planners by name.
    """

    def __init__(
        self, *, window: int, pool_size: int, pools_kept: int, flags: Flags, planners: Planners
    ) -> None:
        self.window = window
        self.flags = flags
        self._pool_size = pool_size
        self._known = KnownPools(pool_size, pools_kept)
        self._planners = planners

    def new_book(self) -> CandidateBook:
        """The candidates of one transaction."""
        return CandidateBook(self._pool_size, self._known)

    def rebuild(
        self,
        connection: Connection,
        display_ids: Sequence[str],
        *,
        book: CandidateBook | None = None,
        ahead: int = 0,
        flags: FlagValues | None = None,
        starts: Mapping[str, Start] = NO_STARTS,
    ) -> Outcomes:
        """Plan displays and write differences, see `services.timelines.rebuild`.

        Without a ``book`` it is a new one, and the flags are those stored.
        """
        return rebuild(
            connection,
            self.new_book() if book is None else book,
            display_ids,
            self.window,
            ahead,
            flags=self.flags.at(connection) if flags is None else flags,
            planners=self._planners,
            starts=starts,
        )

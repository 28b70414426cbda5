"""What a wall needs, by arithmetic from unit costs."""

from dataclasses import dataclass
from typing import Final

from sorafeed_assets.domain.simulation.tally import Tally


@dataclass(frozen=True, slots=True)
class UnitCost:
    """The cost of one thing, and where it was measured, or that it is an estimate."""

    value: float
    unit: str
    source: str


PLAY_API: Final = UnitCost(
    0.0012, "s of a core", "docs/performance.md, what limits each figure: a play and its `next`"
)
PLAY_POSTGRES: Final = UnitCost(0.0007, "s of a core", "the same line: PostgreSQL's part of a play")
SETTLE: Final = UnitCost(
    0.007, "s of a core", "docs/performance.md, from a commit to the screen: 6 to 8 ms a display"
)
SETTLE_POSTGRES_SHARE: Final = UnitCost(
    0.3, "of settling", "estimate; docs/performance.md: most of it is in Python"
)
POST: Final = UnitCost(
    0.00028, "s of a core", "docs/performance.md: 22.1 ms for 100 inserts, 0.29 s to count 5,000"
)
REDIS_DISPLAY: Final = UnitCost(
    4_600, "bytes", "estimate: the three keys of a display with five videos"
)
PLAY_NETWORK: Final = UnitCost(
    2_500, "bytes", "estimate: a play and the answer with the next five videos"
)
NAMED: Final = {
    "a play, in the API": PLAY_API,
    "a play, in PostgreSQL": PLAY_POSTGRES,
    "a display settled": SETTLE,
    "of it in PostgreSQL": SETTLE_POSTGRES_SHARE,
    "a post": POST,
    "a display in Redis": REDIS_DISPLAY,
    "a play on the network": PLAY_NETWORK,
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a wall needs on average; cores are those that are always busy.

    Attributes:
        rows_per_second: rows written to PostgreSQL.
        plan_bytes_per_second: bytes of plans written to PostgreSQL.
        network_bytes_per_second: of players' calls, without the videos.
    """

    api_cores: float
    settling_cores: float
    postgres_cores: float
    rows_per_second: float
    plan_bytes_per_second: float
    redis_bytes: float
    network_bytes_per_second: float


def needs_of(tally: Tally, displays: int, seconds: float) -> Needs:
    """What a wall needs that did this in so many seconds."""
    plays, plans = tally.plays / seconds, tally.plans / seconds
    postgres_share = SETTLE_POSTGRES_SHARE.value
    return Needs(
        api_cores=plays * PLAY_API.value,
        settling_cores=plans * SETTLE.value * (1 - postgres_share),
        postgres_cores=plays * PLAY_POSTGRES.value
        + plans * SETTLE.value * postgres_share
        + tally.posts / seconds * POST.value,
        rows_per_second=tally.rows / seconds,
        plan_bytes_per_second=tally.plan_bytes / seconds,
        redis_bytes=displays * REDIS_DISPLAY.value,
        network_bytes_per_second=plays * PLAY_NETWORK.value,
    )

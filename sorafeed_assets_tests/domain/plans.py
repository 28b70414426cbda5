"""Small playlists and catalogues for the tests of plans."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.timelines.plan import (
    Candidates,
    Planner,
    ScheduleResult,
    Start,
    plan_schedule,
)
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.record import PlanInputs

Catalogue = Mapping[str, Sequence[str]]
"""By search term: the matches in play order."""


def block(number: int, term: str, count: int, mode: FetchMode = FetchMode.NEWEST) -> Block:
    return Block(UUID(int=number + 1), term, count, mode, Format.MIXED, block_order=number)


def schedule_of(
    blocks: Sequence[Block],
    catalogue: Catalogue,
    plays: Mapping[str, int],
    start: Start | None = None,
    window: int = 5,
    planner: Planner = IN_ORDER,
    creators: Mapping[str, str] | None = None,
) -> tuple[ScheduleResult, PlanInputs]:
    result = plan_schedule(
        blocks,
        lambda block, _: Candidates(tuple(catalogue.get(block.search_term, ())), complete=True),
        plays,
        max(plays.values(), default=0),
        start or Start(),
        window,
        planner,
        creators or {},
    )
    return result, PlanInputs("version", tuple(blocks), result.inputs, planner.name)


POSTS = [f"p{number}" for number in range(9)]
TERMS = ["cats", "dogs", "birds"]

catalogues = st.fixed_dictionaries(
    {term: st.lists(st.sampled_from(POSTS), unique=True) for term in TERMS}
)
playlists = st.lists(
    st.tuples(st.sampled_from(TERMS), st.integers(1, 6)), min_size=1, max_size=5
).map(lambda lines: [block(number, *line) for number, line in enumerate(lines)])
mixed_playlists = st.lists(
    st.tuples(st.sampled_from(TERMS), st.integers(1, 6), st.sampled_from(list(FetchMode))),
    min_size=1,
    max_size=5,
).map(lambda lines: [block(number, *line) for number, line in enumerate(lines)])
creators = st.dictionaries(st.sampled_from(POSTS), st.sampled_from(["ann", "bob", "cy", "p0"]))
plays = st.dictionaries(st.sampled_from(POSTS), st.integers(0, 4))

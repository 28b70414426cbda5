"""The planner `in_order`: each block plays its candidates in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.timelines.plan import Candidates, Pick, PlanResult
from sorafeed_assets.domain.timelines.planners.filling import fill_loop


@dataclass(frozen=True, slots=True)
class InOrder:
    """Newest first, or the shuffled order of a random block."""

    name: str = "in_order"
    needs_creators: bool = False

    def plan_loop(
        self,
        blocks: Sequence[Block],
        candidates: Mapping[UUID, Candidates],
        plays: Mapping[str, int],
        loop: int,
        kept: Sequence[Pick] = (),
        creators: Mapping[str, str] | None = None,  # noqa: ARG002  # this planner needs none
    ) -> PlanResult:
        """Fill a loop, see `Planner.plan_loop`."""
        return fill_loop(blocks, candidates, plays, loop, kept)


IN_ORDER: Final = InOrder()

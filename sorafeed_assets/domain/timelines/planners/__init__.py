"""The planners, by the name that stored plans have.

Each is frozen: a stored plan can be made again, byte for byte, as long as it names its planner. A
change of the rules is another planner with another name, whose golden plans the tests keep.
"""

from collections.abc import Mapping
from typing import Final

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.timelines.plan import Planner
from sorafeed_assets.domain.timelines.planners.creator_gap import CREATOR_GAP
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER

Planners = Mapping[str, Planner]
"""Planners by name."""

PLANNERS: Final[Planners] = {planner.name: planner for planner in (IN_ORDER, CREATOR_GAP)}
"""Every planner of this version."""


def planner_named(name: str, planners: Planners = PLANNERS) -> Planner:
    """The planner of this name.

    Raises:
        SorafeedError: this version has none.
    """
    planner = planners.get(name)
    if planner is None:
        raise SorafeedError(
            f"planner {name!r} is not part of this version, which has {', '.join(planners)};"
            " install a version that has it, or set the flag planner"
        )
    return planner

"""Which plans are about to end: their next loop is planned before a play would have to."""

from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.timelines.reach import LEAST_WINDOWS, REACH_WINDOWS, picks_left
from sorafeed_assets.storage.timelines.queues import load_places, load_plan_ends


class PlanEnds:
    """The ends of the active plans; each plan is read once.

    Args:
        engine: the database.
        window: how many positions are queued ahead.
    """

    def __init__(self, engine: Engine, *, window: int) -> None:
        self._engine = engine
        self._ends: dict[int, tuple[int, int]] = {}
        self.least: Final = LEAST_WINDOWS * window
        """How many picks have to be ahead, so that plays need not plan."""
        self.reach: Final = REACH_WINDOWS * window
        """How many picks a plan that is about to end should have ahead."""

    def ending(self) -> dict[str, str]:
        """Display → the build of which fewer than `least` picks are left.

        All loops of a plan are assumed to be as long as its last one.
        """
        with self._engine.connect() as connection:
            places = load_places(connection)
            active = {place.build_id for place in places}
            self._ends = {build: end for build, end in self._ends.items() if build in active}
            self._ends |= load_plan_ends(connection, active - self._ends.keys())
        return {
            place.display_id: f"ends with build {place.build_id}"
            for place in places
            for last_loop, picks in (self._ends.get(place.build_id, (0, 0)),)
            if picks > 0 and picks_left(last_loop, picks, place.loop, place.position) < self.least
        }

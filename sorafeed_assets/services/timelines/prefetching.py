"""Which plans are about to end: their next loop is planned before a play would have to."""

from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.storage.timelines.queues import load_places, load_plan_ends

_WINDOWS: Final = 2


class PlanEnds:
    """Where the active plans end; a plan is opened once, however often it is asked for.

    Args:
        engine: the database.
        window: how many positions are queued ahead.
    """

    def __init__(self, engine: Engine, *, window: int) -> None:
        self._engine = engine
        self._ends: dict[int, tuple[int, int]] = {}
        self.ahead: Final = _WINDOWS * window
        """How many picks have to lie ahead, so that no play plans."""

    def ending(self) -> dict[str, str]:
        """Display → the build of which fewer than `ahead` picks are left.

        Loops of a plan are taken to be as long as its last one.
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
            if picks > 0 and (last_loop - place.loop + 1) * picks - place.position < self.ahead
        }

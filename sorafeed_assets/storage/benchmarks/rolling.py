"""State that the benchmark of rollbacks makes and polls: bad plays, and the planners of plans."""

from typing import Final

from sqlalchemy import Connection, text

# Every video of the displays that a planner has planned was skipped, none of the others'.
_PLAY_BADLY: Final = text("""
INSERT INTO video_history (display_id, video_id, loop_iteration, was_skipped, timeline_video_id)
SELECT d.id, 'p' || n, 0, b.planner = :planner, uuidv7()
FROM displays AS d JOIN timeline_builds AS b ON b.id = d.active_build_id,
    generate_series(1, :plays) AS n
""")
_MAKE_DUE: Final = text("UPDATE rollouts SET evaluated_at = NULL WHERE name = :name")
_PLANNED: Final = text("""
SELECT b.planner, count(*) AS displays
FROM displays AS d JOIN timeline_builds AS b ON b.id = d.active_build_id GROUP BY b.planner
""")
_STATUS: Final = text("SELECT status FROM rollouts WHERE name = :name")


def play_badly(connection: Connection, planner: str, plays: int) -> None:
    """Store ``plays`` of each display; those that ``planner`` has planned were skipped."""
    connection.execute(_PLAY_BADLY, {"planner": planner, "plays": plays})


def make_due(connection: Connection, name: str) -> None:
    """Have a rollout evaluated at once, and not a minute after its last evaluation."""
    connection.execute(_MAKE_DUE, {"name": name})


def planned(connection: Connection) -> dict[str, int]:
    """Planner → how many displays play a plan that it has made."""
    return {row.planner: row.displays for row in connection.execute(_PLANNED)}


def status_of(connection: Connection, name: str) -> str:
    """The status of a rollout."""
    return str(connection.scalar(_STATUS, {"name": name}))

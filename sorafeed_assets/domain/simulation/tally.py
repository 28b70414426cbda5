"""What a simulated wall did, by period."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Final

# Of the queue one row deleted, one added and one that begins to play; one of the history, the
# block and the display.
ROWS_OF_A_PLAY: Final = 6
# The build and the display, the lineage of the plan and of its snapshot, the note that was settled
# (added and removed), and the reaction.
ROWS_OF_A_CHANGED_PLAN: Final = 7
# A settled display whose plan is the same: the note added and removed.
ROWS_OF_AN_EQUAL_PLAN: Final = 2
# The outbox, added and removed, and the post; its counts and candidates are shared by many posts.
ROWS_OF_A_POST: Final = 3


@dataclass(slots=True)
class Tally:
    """Sums of a period.

    Attributes:
        plays: videos that were shown to their end.
        new, replays, repeats: the same by why they were picked.
        loops: loops that began.
        dry_blocks: blocks of those loops that no post matched.
        posts, deletes, edits: changes of the catalogue and of playlists.
        plans: plans made.
        settled_for_posts, settled_for_deletes, settled_for_edits: displays planned for a change.
        prolonged: displays planned because their plan was about to end.
        changed: plans that differed from the one before.
        planning_seconds: processor time of the planner.
        rows: rows written to PostgreSQL.
        plan_bytes: bytes of stored plans and their inputs.
        snapshots: snapshots written to Redis.
    """

    plays: int = 0
    new: int = 0
    replays: int = 0
    repeats: int = 0
    loops: int = 0
    dry_blocks: int = 0
    posts: int = 0
    deletes: int = 0
    edits: int = 0
    plans: int = 0
    settled_for_posts: int = 0
    settled_for_deletes: int = 0
    settled_for_edits: int = 0
    prolonged: int = 0
    changed: int = 0
    planning_seconds: float = 0.0
    rows: int = 0
    plan_bytes: int = 0
    snapshots: int = 0

    def add(self, other: "Tally") -> None:
        """Add the sums of another period, or of other displays."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def settled(self) -> int:
        """Displays planned because something changed."""
        return self.settled_for_posts + self.settled_for_deletes + self.settled_for_edits

    @property
    def changes(self) -> int:
        """Changes of the catalogue and of playlists."""
        return self.posts + self.deletes + self.edits

    def counts(self) -> dict[str, int]:
        """All that is the same for the same seed: everything but the measured time."""
        return {name: value for name, value in asdict(self).items() if name != "planning_seconds"}


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    found = Tally()
    for tally in tallies:
        found.add(tally)
    return found

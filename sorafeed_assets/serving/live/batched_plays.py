"""Plays that come together share a transaction, and none keeps the others waiting."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.commands import MOST_PLANNED, Commands
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.playback import AdvancedAtOnce
from sorafeed_assets.serving.live.batching import BatchedChanges

_MOST: Final = 64
# A play of a locked display is in a batch again after these pauses, before it waits for the lock.
_LOCKED_PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16)
# Players give a call that tells one play up after seconds, and repeat it.
_BEGINS_SECONDS: Final = 5.0

Plays = BatchedChanges[Play, AdvancedAtOnce, Advance | SorafeedError]


def batched_plays(
    commands: Commands, change: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> Plays:
    """The plays of one process, recorded in threads by ``change``.

    Plays that need a plan are recorded some at a time, apart from the others, and those that have
    to wait for their display one by one.
    """

    def cached(recorded: AdvancedAtOnce) -> Awaitable[Sequence[Advance | SorafeedError | None]]:
        return change(lambda: commands.cache_plays(recorded))

    planned: Plays = BatchedChanges(
        lambda plays: change(lambda: commands.record_plays(plays, plans=True)),
        cached,
        lambda play: change(lambda: commands.mark_played_alone(play)),
        most=MOST_PLANNED,
        pauses=_LOCKED_PAUSES,
        begins_within=_BEGINS_SECONDS,
    )
    return BatchedChanges(
        lambda plays: change(lambda: commands.record_plays(plays)),
        cached,
        planned.make,
        most=_MOST,
        begins_within=_BEGINS_SECONDS,
    )

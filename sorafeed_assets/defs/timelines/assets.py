"""`display_timelines`: the stored plan and the published queue of each display."""

from collections.abc import Iterator, Mapping

import dagster as dg

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    DISPLAYS,
    OWNERS,
    RETRIES,
    DisplaysConfig,
    plain_failures,
    table_metadata,
)
from sorafeed_assets.defs.recording import is_by_hand, record_step
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.storage.postgres import tables


@dg.asset(
    deps=["active_playlists", "video_candidates"],
    partitions_def=DISPLAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="timelines",
    owners=OWNERS,
    kinds={"postgres", "python"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.timeline_videos),
)
def display_timelines(
    context: dg.AssetExecutionContext,
    config: DisplaysConfig,
    connections: dg.ResourceParam[Connections],
) -> Iterator[dg.MaterializeResult[None]]:
    """The full order of a display's loop, and its first window in the live queue."""
    with plain_failures():
        displays = config.asked(context, connections)
        failed = connections.settler.publish(displays, renews=True).failed
        planned = [display for display in displays if display not in failed]
        every = not config.displays and is_by_hand(context)
        result = list(record_step(context, connections, planned, every=every))
    if failed:
        context.log.error(failure_text(failed))
        # A single display, or a run by hand, fails; in a batch it must not stop the other caches.
        if every or not planned:
            raise dg.Failure(failure_text(failed), allow_retries=False)
    yield from result


def failure_text(failed: Mapping[str, SorafeedError]) -> str:
    """Why displays stay on their last good queue, in plain words."""
    reasons = "; ".join(f"{display}: {error}" for display, error in failed.items())
    subject = "1 display keeps its" if len(failed) == 1 else f"{len(failed)} displays keep their"
    return f"{subject} last good queue: {reasons}"

"""When displays are rebuilt: one comes or goes, a playlist or candidates change, a queue is low."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.common import DISPLAYS, latest_version, plain_failures
from sorafeed_assets.defs.playlists.assets import playlist_observations
from sorafeed_assets.defs.recording import recorded_before, recorded_versions
from sorafeed_assets.defs.requests import ask
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines.rebuild import JOB_NAME
from sorafeed_assets.domain.automation import changed_versions, partition_change
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.services.playlists.editing import (
    NO_PLAYLIST,
    list_displays,
    pending_activations,
    playlist_versions,
)
from sorafeed_assets.services.timelines.queues import low_displays, stale_displays

# A queue may run low again and again for the same reason.
_LOW_AGAIN: Final = timedelta(minutes=1)


def rebuild_run(displays: Collection[str]) -> dg.RunRequest:
    """A run that rebuilds ``displays``; none named means all."""
    config = {"ops": {"publish_displays": {"config": {"displays": sorted(displays)}}}}
    return dg.RunRequest(job_name=JOB_NAME, run_config=config)


@dg.sensor(
    name="displays",
    job_name=JOB_NAME,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def displays_sensor(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Add and remove partitions with the displays; a removed one's snapshot is dropped."""
    with plain_failures():
        known = [display.id for display in list_displays(connections.engine)]
    change = partition_change(context.instance.get_dynamic_partitions(str(DISPLAYS.name)), known)
    if not change:
        return dg.SkipReason("the partitions are the displays")
    added = [DISPLAYS.build_add_request(list(change.added))] if change.added else []
    removed = [DISPLAYS.build_delete_request(list(change.removed))] if change.removed else []
    return dg.SensorResult(
        run_requests=[rebuild_run(change.removed)] if change.removed else [],
        dynamic_partitions_requests=[*added, *removed],
    )


@dg.sensor(
    name="playlists",
    job_name=JOB_NAME,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def playlists_sensor(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Rebuild displays with a new playlist, a queue of another version, or an unrecorded one.

    A playlist made through the API or the command is active at once; here it is recorded.
    """
    with plain_failures():
        stale = stale_displays(connections.engine)
        waiting = pending_activations(connections.engine)
        versions = playlist_versions(connections.engine)
        recorded = recorded_versions(context.instance, "active_playlists")
        known = dict.fromkeys(versions, NO_PLAYLIST) | recorded
        # What is rebuilt anyway is recorded by that.
        unrecorded = changed_versions(
            known, {n: v for n, v in versions.items() if n not in stale and n not in waiting}
        )
        pending = sorted({*stale, *waiting, *unrecorded})
    if not pending:
        return dg.SkipReason("every queue follows its active playlist")
    request = content_digest(
        [[name, stale.get(name), name in waiting, unrecorded.get(name)] for name in pending]
    )
    observed = {name: version for name, version in versions.items() if name in pending}
    return ask(context, request, [rebuild_run(pending)], playlist_observations(observed))


@dg.sensor(
    name="candidates",
    job_name=JOB_NAME,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def candidates_sensor(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Rebuild all displays when candidates changed, and before a snapshot expires."""
    version = latest_version(context.instance, "video_candidates")
    half_lives = datetime.now(UTC).timestamp() // (connections.settings.cache_ttl_seconds / 2)
    request = content_digest([version, half_lives])
    return ask(context, request, [rebuild_run([])])


@dg.sensor(
    name="low_queues",
    job_name=JOB_NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def low_queues_sensor(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Top up queues that ran low, prepare their next loops, and write snapshots that are behind."""
    with plain_failures():
        low = low_displays(connections.engine, low=connections.settings.low_queue)
    wanted = sorted({*low, *_uncached(context.instance)})
    if not wanted:
        return dg.SkipReason("no queue is low, and every snapshot is of its display's timeline")
    return ask(context, content_digest(wanted), [rebuild_run(wanted)], again_after=_LOW_AGAIN)


def _uncached(instance: dg.DagsterInstance) -> set[str]:
    """Displays whose timeline was recorded but its snapshot was not: Redis was away meanwhile."""
    there = instance.get_dynamic_partitions(str(DISPLAYS.name))
    return recorded_before(instance, "timeline_cache", "display_timelines") & set(there)

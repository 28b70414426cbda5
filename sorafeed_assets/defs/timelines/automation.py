"""When displays are rebuilt: one comes or goes, a playlist or candidates change, a queue is low."""

from collections.abc import Collection
from datetime import UTC, datetime

import dagster as dg

from sorafeed_assets.defs.common import DISPLAYS, latest_version, plain_failures
from sorafeed_assets.defs.playlists.assets import playlist_observations
from sorafeed_assets.defs.requests import ask
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines.rebuild import JOB_NAME
from sorafeed_assets.domain.automation import partition_change
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.services.playlists import (
    list_displays,
    pending_activations,
    playlist_versions,
)
from sorafeed_assets.services.queues import low_displays, stale_displays


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
    """Activate new playlists and rebuild the displays whose queue follows another version."""
    with plain_failures():
        stale = stale_displays(connections.engine)
        waiting = pending_activations(connections.engine)
        pending = sorted({*stale, *waiting})
        versions = playlist_versions(connections.engine, pending) if pending else {}
    if not pending:
        return dg.SkipReason("every queue follows its active playlist")
    request = content_digest([[name, stale.get(name), name in waiting] for name in pending])
    return ask(context, request, [rebuild_run(pending)], playlist_observations(versions))


@dg.sensor(
    name="candidates",
    job_name=JOB_NAME,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def candidates_sensor(
    context: dg.SensorEvaluationContext,
) -> dg.SensorResult | dg.SkipReason:
    """Rebuild all displays when candidates changed, and daily so that no snapshot expires."""
    version = latest_version(context.instance, "video_candidates")
    request = content_digest([version, datetime.now(UTC).date()])
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
    """Top up queues that ran low, and prepare the next loop of those at their end."""
    with plain_failures():
        low = low_displays(connections.engine, low=connections.settings.low_queue)
    if not low:
        return dg.SkipReason("no queue is low")
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    return ask(context, content_digest([sorted(low), minute]), [rebuild_run(low)])

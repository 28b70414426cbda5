"""The job that follows playlists: activate, publish, cache and check many displays in one run.

It records an event per display that changed. The assets of the same names do the same work for
the partitions someone picks in the UI.
"""

import dagster as dg
from pydantic import Field

from sorafeed_assets.defs.cache.assets import admin_result, cache_results
from sorafeed_assets.defs.cache.checks import TIMELINE_CACHE_CHECKS
from sorafeed_assets.defs.common import (
    DISPLAYS,
    PLAYLIST_PRIORITY,
    RETRIES,
    plain_failures,
)
from sorafeed_assets.defs.counts.assets import follow_terms, terms_materialization
from sorafeed_assets.defs.playlists.assets import activation_results, playlist_observations
from sorafeed_assets.defs.playlists.checks import ACTIVATION_CHECKS
from sorafeed_assets.defs.recording import Recorder
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines.assets import (
    failure_text,
    repopulate,
    timeline_results,
)
from sorafeed_assets.defs.timelines.checks import TIMELINE_CHECKS
from sorafeed_assets.domain.automation import partition_change
from sorafeed_assets.domain.errors import NotFoundError, SorafeedError
from sorafeed_assets.services.cache.write import write_admin_snapshot, write_timeline_cache
from sorafeed_assets.services.playlists.editing import (
    activate_pending,
    list_displays,
    playlist_versions,
)

JOB_NAME = "rebuild_displays"


class RebuildConfig(dg.Config):
    """Which displays to rebuild; none named means all of them."""

    displays: list[str] = Field(default_factory=list)


@dg.op(retry_policy=RETRIES, out=dg.Out(dg.Nothing))
def publish_displays(
    context: dg.OpExecutionContext,
    config: RebuildConfig,
    connections: dg.ResourceParam[Connections],
) -> None:
    """Activate playlists, rebuild the queues that hang on them, cache and check them."""
    with plain_failures():
        known = [display.id for display in list_displays(connections.engine)]
        follow_displays(context.instance, known)
        asked = sorted(set(config.displays) or set(known))
        present = [name for name in asked if name in set(known)]
        recorder = Recorder(context, named=set(config.displays))
        failed = _publish(recorder, connections, present)
        _cache(recorder, connections, set(present))
        for check in (*ACTIVATION_CHECKS, *TIMELINE_CHECKS, *TIMELINE_CACHE_CHECKS):
            recorder.check(check, connections)
    if failed:
        context.log.error(failure_text(failed))
        if len(failed) == len(present):
            raise dg.Failure(failure_text(failed), allow_retries=False)


def follow_displays(instance: dg.DagsterInstance, known: list[str]) -> None:
    """Make the partitions the displays there are, whichever sensor has looked already."""
    name = str(DISPLAYS.name)
    change = partition_change(instance.get_dynamic_partitions(name), known)
    if change.added:
        instance.add_dynamic_partitions(name, list(change.added))


def _publish(
    recorder: Recorder, connections: Connections, displays: list[str]
) -> dict[str, SorafeedError]:
    """Activate and rebuild; why displays could not be."""
    activations = activate_pending(connections.engine, displays)
    recorder.observe(playlist_observations(playlist_versions(connections.engine, displays)))
    # The new_posts sensor sees which terms have no count yet.
    terms = follow_terms(connections)
    recorder.log(terms_materialization(recorder.instance, connections.engine, terms))
    recorder.materialize(
        "active_playlists",
        activation_results(connections.engine, activations),
        changed={name for name, activation in activations.items() if activation.changed},
    )
    built, failed = repopulate(connections, displays)
    results = timeline_results(connections.engine, recorder.instance, built)
    recorder.materialize(
        "display_timelines",
        results,
        changed={name for name, outcome in built.items() if outcome.changed},
    )
    # A display that went away meanwhile is no failure: its snapshot is removed below.
    return {n: error for n, error in failed.items() if not isinstance(error, NotFoundError)}


def _cache(recorder: Recorder, connections: Connections, present: set[str]) -> None:
    """Write all snapshots, which follow each play too, and record those of ``present``."""
    ttl = connections.settings.cache_ttl_seconds
    versions = write_timeline_cache(connections.engine, connections.redis, ttl=ttl)
    recorder.follow(
        "timeline_cache",
        "display_timelines",
        cache_results(
            connections.engine,
            recorder.instance,
            {name: version for name, version in versions.items() if name in present},
        ),
    )
    snapshot = write_admin_snapshot(connections.engine, connections.redis, ttl=ttl)
    recorder.log(admin_result(recorder.instance, connections, snapshot))


@dg.job(name=JOB_NAME, tags=PLAYLIST_PRIORITY)
def rebuild_displays() -> None:
    """Rebuild what plays next on displays whose playlist, candidates or queue changed."""
    publish_displays()

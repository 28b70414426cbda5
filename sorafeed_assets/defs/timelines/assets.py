"""`display_timelines`: the plan of a display stored, its queue published."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from sqlalchemy import Engine

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    DISPLAYS,
    OWNERS,
    RETRIES,
    display_previews,
    last_event,
    latest_version,
    plain_failures,
    table_metadata,
)
from sorafeed_assets.defs.recording import PartitionResult, partition_results
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.commands import tell_others
from sorafeed_assets.services.timelines.queues import plan_problems
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.storage.cache.redis import display_tag
from sorafeed_assets.storage.postgres import tables


def timeline_results(
    engine: Engine, instance: dg.DagsterInstance, built: Mapping[str, BuildOutcome]
) -> dict[str, PartitionResult]:
    """What `display_timelines` records, per display."""
    candidates = latest_version(instance, "video_candidates")
    previews = display_previews(engine, "display_timelines", built.keys())
    return {
        display: _timeline_result(outcome, candidates, previews[display])
        for display, outcome in built.items()
    }


def _timeline_result(
    outcome: BuildOutcome, candidates_version: str, preview: dg.MarkdownMetadataValue
) -> PartitionResult:
    playlist = (
        f"{outcome.playlist_id}:{outcome.playlist_version}" if outcome.playlist_id else "none"
    )
    return PartitionResult(
        data_version=outcome.content_hash or "none",
        upstream={"active_playlists": playlist, "video_candidates": candidates_version},
        metadata={
            "planned": outcome.planned,
            "queued": outcome.queued,
            "loop": outcome.loop,
            "position": outcome.position,
            "dry_blocks": len(outcome.dry_blocks),
            "build": str(outcome.build_id or "none"),
            "preview": preview,
            **{f"picks_{tier}": picks for tier, picks in sorted(outcome.tiers.items())},
        },
    )


def repopulate(
    connections: Connections, displays: Sequence[str]
) -> tuple[dict[str, BuildOutcome], dict[str, SorafeedError]]:
    """Rebuild displays, and let the API hear of those that cannot be planned, or can again."""
    before = plan_problems(connections.engine).items()
    outcomes = connections.timelines.repopulate(displays)
    changed = {display for display, _ in before ^ plan_problems(connections.engine).items()}
    if changed:
        tell_others(connections.redis, [display_tag(display) for display in changed])
    return split_outcomes(outcomes)


def split_outcomes(
    results: Mapping[str, BuildOutcome | SorafeedError],
) -> tuple[dict[str, BuildOutcome], dict[str, SorafeedError]]:
    """The displays that were built, and those that could not be, each in order."""
    built: dict[str, BuildOutcome] = {}
    failed: dict[str, SorafeedError] = {}
    for display, result in sorted(results.items()):
        if isinstance(result, SorafeedError):
            failed[display] = result
        else:
            built[display] = result
    return built, failed


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
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """The full order of a display's loop, and its first window in the live queue."""
    with plain_failures():
        built, failed = repopulate(connections, context.partition_keys)
        results = timeline_results(connections.engine, context.instance, built)
    if failed:
        seen = last_event(context.instance)
        for display, result in results.items():
            context.log_event(result.materialization("display_timelines", display, seen))
        raise dg.Failure(failure_text(failed), allow_retries=False)
    yield from partition_results(context, "display_timelines", results)


def failure_text(failed: Mapping[str, SorafeedError]) -> str:
    """Why displays stay on their last good queue, in plain words."""
    reasons = "; ".join(f"{display}: {error}" for display, error in failed.items())
    who = "1 display keeps its" if len(failed) == 1 else f"{len(failed)} displays keep their"
    return f"{who} last good queue: {reasons}"

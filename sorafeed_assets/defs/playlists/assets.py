"""`playlists`, observed per display, and `active_playlists`, where activation is done."""

from collections.abc import Iterator, Mapping

import dagster as dg
from sqlalchemy import Engine

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    DISPLAYS,
    OWNERS,
    RETRIES,
    display_previews,
    plain_failures,
    table_metadata,
    version_tags,
)
from sorafeed_assets.defs.recording import PartitionResult, partition_results
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.playlists.editing import (
    Activation,
    activate_pending,
    playlist_versions,
)
from sorafeed_assets.storage.postgres import tables


@dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster left it so
    name="observe_playlists",
    specs=[
        dg.AssetSpec(
            "playlists",
            description=(
                "The playlists of a display, written by people. The data version is a fingerprint"
                " of the active one's blocks: a new name changes nothing."
            ),
            group_name="playlists",
            owners=OWNERS,
            kinds={"postgres"},
            metadata=table_metadata(tables.playlist_blocks),
            partitions_def=DISPLAYS,
            skippable=True,
        )
    ],
    partitions_def=DISPLAYS,
)
def observe_playlists(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.ObserveResult]:
    """Record the playlist version of the displays that are asked for."""
    with plain_failures():
        versions = playlist_versions(connections.engine, context.partition_keys)
    for observation in playlist_observations(versions):
        context.log_event(observation)
    yield from ()


def playlist_observations(versions: Mapping[str, str]) -> list[dg.AssetObservation]:
    """An observation of `playlists` per display, in order."""
    return [
        dg.AssetObservation("playlists", partition=display, tags=version_tags(version))
        for display, version in sorted(versions.items())
    ]


def activation_results(
    engine: Engine, activations: Mapping[str, Activation]
) -> dict[str, PartitionResult]:
    """What `active_playlists` records, per display."""
    previews = display_previews(engine, "active_playlists", activations.keys())
    return {
        display: _activation_result(activation, previews[display])
        for display, activation in sorted(activations.items())
    }


def _activation_result(
    activation: Activation, preview: dg.MarkdownMetadataValue
) -> PartitionResult:
    version = f"{activation.playlist_id}:{activation.version}" if activation.version else "none"
    return PartitionResult(
        data_version=version,
        upstream={"playlists": version},
        metadata={
            "playlist": str(activation.playlist_id or "none"),
            "was_changed": int(activation.changed),
            "preview": preview,
        },
    )


@dg.asset(
    deps=["playlists"],
    partitions_def=DISPLAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="playlists",
    owners=OWNERS,
    kinds={"postgres"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.playlists),
)
def active_playlists(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """Activation: the newest playlist of a display is active, unless one was chosen by hand."""
    with plain_failures():
        activations = activate_pending(connections.engine, context.partition_keys)
        versions = playlist_versions(connections.engine, context.partition_keys)
        results = activation_results(connections.engine, activations)
    for observation in playlist_observations(versions):
        context.log_event(observation)
    yield from partition_results(
        context,
        "active_playlists",
        results,
    )

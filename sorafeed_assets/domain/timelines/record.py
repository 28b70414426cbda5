"""Plans and their inputs as stored: JSON both ways, the content hash, and planning again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.timelines.plan import (
    Candidates,
    LoopInputs,
    LoopPlan,
    Pick,
    Planner,
    Schedule,
    Tier,
)
from sorafeed_assets.domain.timelines.planners import planner_named
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """What a schedule was made from, and the planner that made it; `deciding` is what is stored."""

    playlist_version: str
    blocks: tuple[Block, ...]
    loops: tuple[LoopInputs, ...]
    planner: str = IN_ORDER.name


def deciding(schedule: Schedule, inputs: PlanInputs) -> PlanInputs:
    """The inputs without the candidates that were passed over: they give the same plan.

    A display that has played most matches of a search passes over all of them in each loop.
    """
    loops = zip(schedule.loops, inputs.loops, strict=True)
    return replace(inputs, loops=tuple(_deciding(plan, source) for plan, source in loops))


def _deciding(plan: LoopPlan, source: LoopInputs) -> LoopInputs:
    new = plan.picks[len(source.kept) :]
    picked = {(pick.block_id, pick.post_id) for pick in new}
    # What is repeated, and when, depends on every match of the block.
    repeating = {pick.block_id for pick in new if pick.tier is Tier.REPEAT}
    candidates = {
        block: Candidates(
            tuple(post for post in found.ids if block in repeating or (block, post) in picked),
            found.complete,
        )
        for block, found in source.candidates.items()
    }
    posts = {post for found in candidates.values() for post in found.ids}
    plays = {post: moment for post, moment in source.plays.items() if post in posts}
    return replace(source, candidates=candidates, plays=plays)


def content_hash(schedule: Schedule, playlist_version: str) -> str:
    """The digest of a schedule and of the playlist version it plays."""
    return content_digest([playlist_version, schedule_to_json(schedule)])


def replan(inputs: PlanInputs) -> str:
    """The content hash of a new plan from stored inputs, by the planner that made the first one.

    It differs only if that planner's rules changed, which they never do.

    Raises:
        SorafeedError: this version does not have the planner.
    """
    schedule = plan_again(inputs, planner_named(inputs.planner))
    return content_hash(schedule, inputs.playlist_version)


def plan_again(inputs: PlanInputs, planner: Planner) -> Schedule:
    """A new plan from stored inputs."""
    return Schedule(
        tuple(
            planner.plan_loop(
                inputs.blocks,
                source.candidates,
                source.plays,
                source.loop,
                source.kept,
                source.creators,
            ).plan
            for source in inputs.loops
        )
    )


def schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    """A schedule as stored in ``timeline_builds.plan``; a pick's place in its list is its position.

    ``{"loops": [{"loop", "picks": [{"block_id", "block_position", "video_id", "tier"}],
    "dry_blocks": [id]}]}``
    """
    return {
        "loops": [
            {
                "loop": plan.loop,
                "picks": _picks_to_json(plan.picks),
                "dry_blocks": [str(block_id) for block_id in plan.dry_blocks],
            }
            for plan in schedule.loops
        ]
    }


def schedule_from_json(stored: Mapping[str, Any]) -> Schedule:
    """Parse the output of `schedule_to_json`."""
    return Schedule(
        tuple(
            LoopPlan(
                plan["loop"],
                _picks_from_json(plan["picks"]),
                tuple(UUID(block_id) for block_id in plan["dry_blocks"]),
            )
            for plan in stored["loops"]
        )
    )


def inputs_to_json(inputs: PlanInputs) -> dict[str, Any]:
    """Inputs as stored in ``timeline_builds.inputs``."""
    return {
        "playlist_version": inputs.playlist_version,
        "blocks": [
            {
                "id": str(block.id),
                "search_term": block.search_term,
                "video_count": block.video_count,
                "fetch_mode": block.fetch_mode,
                "format": block.format,
                "block_order": block.block_order,
            }
            for block in inputs.blocks
        ],
        "loops": [
            {
                "loop": loop.loop,
                "kept": _picks_to_json(loop.kept),
                "candidates": {
                    str(block_id): {"video_ids": list(source.ids), "complete": source.complete}
                    for block_id, source in loop.candidates.items()
                },
                "plays": dict(loop.plays),
                **({"creators": dict(loop.creators)} if loop.creators else {}),
            }
            for loop in inputs.loops
        ],
    }


def inputs_from_json(stored: Mapping[str, Any], planner: str = IN_ORDER.name) -> PlanInputs:
    """Parse the output of `inputs_to_json`; the planner is stored beside it."""
    return PlanInputs(
        stored["playlist_version"],
        tuple(
            Block(
                UUID(block["id"]),
                block["search_term"],
                block["video_count"],
                FetchMode(block["fetch_mode"]),
                Format(block["format"]),
                block["block_order"],
            )
            for block in stored["blocks"]
        ),
        tuple(
            LoopInputs(
                loop["loop"],
                _picks_from_json(loop["kept"]),
                {
                    UUID(block_id): Candidates(tuple(source["video_ids"]), source["complete"])
                    for block_id, source in loop["candidates"].items()
                },
                loop["plays"],
                loop.get("creators", {}),
            )
            for loop in stored["loops"]
        ),
        planner,
    )


def _picks_to_json(picks: Sequence[Pick]) -> list[dict[str, Any]]:
    return [
        {
            "block_id": str(pick.block_id),
            "block_position": pick.block_position,
            "video_id": pick.post_id,
            "tier": pick.tier,
        }
        for pick in picks
    ]


def _picks_from_json(stored: Sequence[Mapping[str, Any]]) -> tuple[Pick, ...]:
    return tuple(_pick_from_json(position, pick) for position, pick in enumerate(stored))


def _pick_from_json(position: int, pick: Mapping[str, Any]) -> Pick:
    return Pick(
        position,
        UUID(pick["block_id"]),
        pick["block_position"],
        pick["video_id"],
        Tier(pick["tier"]),
    )

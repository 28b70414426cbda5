"""How a check is written: a function of the connections that answers with problems.

A `Check` covers an asset as a whole. A `DisplayCheck` covers the displays of its run: after a
rebuild the rebuilt ones, in a run without partitions all displays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from sorafeed_assets.defs.common import DISPLAYS, check_result, plain_failures
from sorafeed_assets.defs.dagster_internals import partition_span
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.batches import batched

Problems = Mapping[str, Sequence[str]]
"""Display → what is wrong with it."""

# Displays per batch: plans are large, and a snapshot's writers wait for the check.
_CHUNK: Final = 100
# Observed assets have no step: the step of another asset records them.
_RECORDED_BY: Final = {"playlists": "active_playlists", "sora_posts": "video_counts_daily"}


@dataclass(frozen=True, slots=True)
class Check:
    """A check of an asset; ``evaluate`` reads real state and never changes it.

    When a ``blocking`` check fails, downstream assets do not run, so that a wrong count reaches no
    reader.
    """

    asset: str
    name: str
    description: str
    evaluate: Callable[[Connections], dg.AssetCheckResult]
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class DisplayCheck:
    """A check of an asset per display; ``find`` returns the problems of the given displays."""

    asset: str
    name: str
    description: str
    find: Callable[[Connections, Sequence[str]], Problems]


def build_checks(checks: Sequence[Check | DisplayCheck]) -> list[dg.AssetChecksDefinition]:
    """The checks as Dagster runs them after a materialization."""
    return [_build(check) for check in checks]


def _build(check: Check | DisplayCheck) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=check.asset,
        name=check.name,
        description=check.description,
        blocking=isinstance(check, Check) and check.blocking,
    )
    def run_check(
        context: dg.AssetCheckExecutionContext, connections: dg.ResourceParam[Connections]
    ) -> dg.AssetCheckResult:
        with plain_failures():
            if isinstance(check, Check):
                return check.evaluate(connections)
            displays = checked_partitions(context, check.asset, DISPLAYS)
            return _check_displays(check, connections, displays)

    return run_check


def _check_displays(
    check: DisplayCheck, connections: Connections, asked: Sequence[str] | None
) -> dg.AssetCheckResult:
    displays = connections.settler.all_displays() if asked is None else asked
    lines: list[str] = []
    for chunk in batched(displays, _CHUNK):
        found = check.find(connections, chunk)
        lines += [f"{display}: {text}" for display, texts in found.items() for text in texts]
    return check_result(lines, len(displays))


def checked_partitions(
    context: dg.AssetCheckExecutionContext,
    asset: str,
    partitions: dg.PartitionsDefinition[str] | None,
) -> list[str] | None:
    """The partitions of ``asset`` in the run; None, meaning all, for a run without partitions."""
    span = partition_span(context.run.tags)
    if partitions is None or span is None:
        return None
    steps: Any = context.run.run_config.get("ops") or {}
    config = (steps.get(_RECORDED_BY.get(asset, asset)) or {}).get("config") or {}
    asked = config.get("displays" if partitions is DISPLAYS else "days")
    if asked:
        return sorted(set(asked))
    keys = list(partitions.get_partition_keys(dynamic_partitions_store=context.instance))
    first, last = map(keys.index, span)
    return keys[first : last + 1]

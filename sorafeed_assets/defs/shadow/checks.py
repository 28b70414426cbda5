"""Checks of comparing: unexplained differences, and the gate."""

from collections.abc import Callable
from typing import Final

import dagster as dg

from sorafeed_assets.defs.checking import Check
from sorafeed_assets.defs.common import check_result
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.shadow.report import shadow_gate, unexplained_differences
from sorafeed_assets.services.shadow.run import COUNTS_ASSET, KINDS, TIMELINES_ASSET


def _nothing_unexplained(asset: str) -> Callable[[Connections], dg.AssetCheckResult]:
    def evaluate(connections: Connections) -> dg.AssetCheckResult:
        days = connections.settings.shadow_gate_days
        compared, found = unexplained_differences(connections.engine, days, KINDS[asset])
        return check_result(found, compared)

    return evaluate


def _gate_is_open(connections: Connections) -> dg.AssetCheckResult:
    days = connections.settings.shadow_gate_days
    gate = shadow_gate(connections.engine, days)
    severity = dg.AssetCheckSeverity.WARN
    return check_result([] if gate.is_open else [gate.reason], days, severity=severity)


_DESCRIPTION: Final = "No difference of the gate's days is without a rule that explains it."
COUNTS_CHECKS: Final = (
    Check(COUNTS_ASSET, "nothing_unexplained", _DESCRIPTION, _nothing_unexplained(COUNTS_ASSET)),
    Check(
        COUNTS_ASSET,
        "gate_is_open",
        "Each of the gate's days was compared, and left no unexplained difference.",
        _gate_is_open,
    ),
)
TIMELINES_CHECKS: Final = (
    Check(
        TIMELINES_ASSET, "nothing_unexplained", _DESCRIPTION, _nothing_unexplained(TIMELINES_ASSET)
    ),
)

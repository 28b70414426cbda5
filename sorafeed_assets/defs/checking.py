"""How a check is written: a function of the connections that answers with problems."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from sorafeed_assets.defs.common import plain_failures
from sorafeed_assets.defs.resources import Connections


@dataclass(frozen=True, slots=True)
class Check:
    """A check of an asset; ``evaluate`` reads real state and never changes it.

    A ``blocking`` one that fails keeps what is downstream from running: a wrong count reaches no
    reader.
    """

    asset: str
    name: str
    description: str
    evaluate: Callable[[Connections], dg.AssetCheckResult]
    blocking: bool = False


def build_checks(checks: Sequence[Check]) -> list[dg.AssetChecksDefinition]:
    """The checks as Dagster runs them after a materialization."""
    return [_build(check) for check in checks]


def _build(check: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=check.asset,
        name=check.name,
        description=check.description,
        blocking=check.blocking,
    )
    def run_check(connections: dg.ResourceParam[Connections]) -> dg.AssetCheckResult:
        with plain_failures():
            return check.evaluate(connections)

    return run_check

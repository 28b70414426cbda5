"""The group `rollouts`."""

import dagster as dg

from sorafeed_assets.defs.rollouts.assets import rollouts
from sorafeed_assets.defs.rollouts.automation import build_evaluate_rollouts, late_rollouts
from sorafeed_assets.settings import Settings


def build(_settings: Settings) -> dg.Definitions:
    """What the group adds to the graph."""
    return dg.Definitions(
        assets=dg.with_source_code_references([rollouts]),
        jobs=[build_evaluate_rollouts()],
        sensors=[late_rollouts],
    )

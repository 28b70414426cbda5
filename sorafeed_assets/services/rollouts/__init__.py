"""Rollouts: begun, evaluated and handled; what follows from a step goes the one way of a change.

`Rollouts` is what commands, pages, `sorafeed react` and Dagster use.
"""

from sorafeed_assets.services.rollouts.rollouts import Evaluation, RolloutNotFoundError, Rollouts

__all__ = ["Evaluation", "RolloutNotFoundError", "Rollouts"]

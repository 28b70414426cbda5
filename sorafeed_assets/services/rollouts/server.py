"""The samples of what is known of the API's servers as a whole: minutes, asked of Prometheus.

They are read before an evaluation's transaction, so that a slow Prometheus holds no lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.domain.rollouts.machine import ENDED, Rollout, State
from sorafeed_assets.domain.rollouts.signals import Samples, Signal
from sorafeed_assets.services.rollouts.sides import LOOKED_BACK, compared_since
from sorafeed_assets.storage.prometheus import SETTING, Prometheus
from sorafeed_assets.storage.rollouts.prometheus import requests_by_minute
from sorafeed_assets.storage.rollouts.rows import StoredRollout

_NOT_SET: Final = f"{SETTING} is not set"


@dataclass(frozen=True, slots=True)
class ServerSamples:
    """What Prometheus told of a rollout's step that began at ``since``."""

    since: datetime
    samples: Samples


def read_server(
    prometheus: Prometheus | None, rollout: StoredRollout, now: datetime
) -> ServerSamples | None:
    """The minutes since the step began, and those of the hour before the rollout.

    None when the rollout has ended, or does not compare them.
    """
    if rollout.state.status in ENDED or Signal.SERVER_ERRORS not in rollout.plan.signals:
        return None
    return ServerSamples(rollout.state.since, _read(prometheus, rollout, now))


def samples_of_step(
    server: ServerSamples | None, rollout: Rollout, state: State
) -> Mapping[Signal, Samples]:
    """What was read, by signal, if the rollout is still at the step that it was read of."""
    if Signal.SERVER_ERRORS not in rollout.signals:
        return {}
    if server is None or server.since != state.since:
        return {Signal.SERVER_ERRORS: Samples((), (), "the step began while Prometheus was asked")}
    return {Signal.SERVER_ERRORS: server.samples}


def _read(prometheus: Prometheus | None, rollout: StoredRollout, now: datetime) -> Samples:
    if prometheus is None:
        return Samples((), (), _NOT_SET)
    before = rollout.created_at
    try:
        return Samples(
            requests_by_minute(prometheus, compared_since(rollout.state, now), now),
            requests_by_minute(prometheus, before - LOOKED_BACK, before),
        )
    except UnavailableError as error:
        return Samples((), (), str(error))

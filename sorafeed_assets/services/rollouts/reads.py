"""Reading rollouts: where each stands, and how it came there."""

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.storage.rollouts.rows import (
    RolloutChange,
    StoredRollout,
    load_changes,
    load_rollouts,
)


class RolloutNotFoundError(NotFoundError):
    """No rollout has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"rollout {name!r} does not exist; see `sorafeed rollout list`")


def all_rollouts(engine: Engine) -> list[StoredRollout]:
    """Every rollout, the newest first."""
    with engine.connect() as connection:
        return load_rollouts(connection)


def one_rollout(engine: Engine, name: str) -> tuple[StoredRollout, list[RolloutChange]]:
    """A rollout, and its last changes, the newest first.

    Raises:
        RolloutNotFoundError: there is none.
    """
    with engine.connect() as connection:
        found = load_rollouts(connection, name)
        if not found:
            raise RolloutNotFoundError(name)
        return found[0], load_changes(connection, name)

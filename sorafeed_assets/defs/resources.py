"""The one resource: connections to Postgres and Redis, made when first used."""

from collections.abc import Callable
from functools import cached_property

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets.storage.postgres.engine import create_database_engine

Progress = Callable[[str, int, int], None]


class Connections:
    """The connections that assets use.

    Attributes:
        settings: where the servers are.
        on_progress: called with (step, done, total) by long work; `sorafeed up` shows bars.
    """

    def __init__(self, settings: Settings, on_progress: Progress | None = None) -> None:
        self.settings = settings
        self.on_progress = on_progress

    @cached_property
    def engine(self) -> Engine:
        """Postgres; raises SetupError when no address is set."""
        return create_database_engine(
            _required(self.settings.database_url, "SORAFEED_DATABASE_URL"), self.settings
        )

    @cached_property
    def redis(self) -> Redis:
        """Redis; raises SetupError when no address is set."""
        return create_redis_client(_required(self.settings.redis_url, "SORAFEED_REDIS_URL"))

    @cached_property
    def settler(self) -> Settler:
        """The one way of a change."""
        return Settler.of(self.engine, self.redis, self.settings)

    @cached_property
    def rollouts(self) -> Rollouts:
        """The rollouts."""
        flags = Flags(self.engine)
        return Rollouts.of(self.engine, flags, self.settler.settle, self.settings)

    def progress(self, step: str) -> Callable[[int, int], None] | None:
        """Return a listener for one step's (done, total); None without `on_progress`."""
        listener = self.on_progress
        if listener is None:
            return None
        return lambda done, total: listener(step, done, total)

    def close(self) -> None:
        """Close every connection; a later use opens new ones."""
        engine, redis = self.__dict__.pop("engine", None), self.__dict__.pop("redis", None)
        self.__dict__.pop("settler", None)
        self.__dict__.pop("rollouts", None)
        if engine is not None:
            engine.dispose()
        if redis is not None:
            redis.close()


def _required(url: object, variable: str) -> str:
    if url is None:
        raise SetupError(
            f"{variable} is not set; run `sorafeed up`, and in another shell"
            ' `eval "$(sorafeed env)"` to join what it started'
        )
    return str(url)

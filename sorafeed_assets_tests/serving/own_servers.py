"""A PostgreSQL and a Redis that a test stops, kills and starts again."""

import os
import signal
from pathlib import Path

from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis, free_port
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.serving.client import wait_until


class Servers:
    """Servers that a test stops and restarts on the same ports."""

    def __init__(self, folder: Path, *, persist: bool = False) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres", {"fsync": "off"})
        self.redis = EmbeddedRedis(folder / "redis", persist=persist)
        self._ports = (free_port(), free_port())
        self.start_postgres()
        self.start_redis()
        url = self.postgres.create_database("sorafeed")
        self.settings = Settings.model_validate(
            {"database_url": url, "redis_url": self.redis.url, "data_dir": folder}
        )
        self.engine: Engine = create_database_engine(url, self.settings)
        migrate(self.engine)

    def start_postgres(self) -> None:
        self.postgres.start(self._ports[0])

    def start_redis(self) -> None:
        self.redis.start(self._ports[1])

    def kill_redis(self) -> None:
        """Kill it, so that only what it has saved remains."""
        assert self.redis.pid is not None
        os.kill(self.redis.pid, signal.SIGKILL)
        wait_until(lambda: free_port(self._ports[1]) == self._ports[1])

    def stop(self) -> None:
        self.engine.dispose()
        self.redis.stop()
        self.postgres.stop()

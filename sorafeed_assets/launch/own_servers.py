"""Servers that a command starts for itself, in a data folder that it owns."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sorafeed_assets.launch import data_folder
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.launch.processes import end_left_overs
from sorafeed_assets.launch.servers import addressed, psycopg2_url
from sorafeed_assets.launch.supervision import Supervisor
from sorafeed_assets.settings import Settings

_POSTGRES_PORT: Final = 54320
_REDIS_PORT: Final = 63790


@contextmanager
def owned_folder(settings: Settings) -> Iterator[Path]:
    """Own the data folder; ends the processes of an earlier owner that was killed.

    Raises:
        SetupError: another command owns it, or it cannot be written to.
    """
    folder = data_folder.prepare(settings.data_dir)
    with data_folder.owned(folder):
        end_left_overs(folder)
        yield folder


@contextmanager
def embedded(
    settings: Settings, folder: Path, supervisor: Supervisor | None = None
) -> Iterator[Settings]:
    """Run the servers that the settings do not name, in a folder that the caller owns.

    With a ``supervisor`` it watches them.
    """
    with ExitStack() as stack:
        database_url, dagster_url, redis_url = (
            str(url) if url else None
            for url in (settings.database_url, settings.dagster_url, settings.redis_url)
        )
        postgres = EmbeddedPostgres(folder / "postgres")
        redis = EmbeddedRedis(folder / "redis")
        wanted: list[tuple[EmbeddedPostgres | EmbeddedRedis, int]] = []
        if database_url is None or dagster_url is None:
            wanted.append((postgres, _POSTGRES_PORT))
        if redis_url is None:
            wanted.append((redis, _REDIS_PORT))
        for server, _ in wanted:
            stack.callback(server.stop)
        with ThreadPoolExecutor() as pool:
            started = [pool.submit(server.start, port) for server, port in wanted]
        for (server, _), starting in zip(wanted, started, strict=True):
            starting.result()
            if supervisor is not None:
                supervisor.watch(server)
        database_url = database_url or postgres.create_database("sorafeed")
        dagster_url = dagster_url or psycopg2_url(postgres.create_database("dagster"))
        redis_url = redis_url or redis.url
        yield addressed(
            settings, data_folder.Runtime(os.getpid(), database_url, dagster_url, redis_url)
        )

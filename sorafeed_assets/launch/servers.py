"""The servers a command talks to: given by settings, joined from a running `up`, or embedded."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from sorafeed_assets.launch import data_folder
from sorafeed_assets.settings import Settings, load_settings
from sorafeed_assets.storage.embedded import EmbeddedPostgres, EmbeddedRedis

_POSTGRES_PORT: Final = 54320
_REDIS_PORT: Final = 63790


@contextmanager
def servers(settings: Settings) -> Iterator[Settings]:
    """Settings in which every address is set, for as long as the block lasts.

    Raises:
        SetupError: the data folder is in use or unusable, or a server does not start.
    """
    if _complete(settings):
        yield settings
        return
    folder = settings.data_dir.resolve()
    runtime = data_folder.running(folder) if folder.exists() else None
    if runtime is not None:
        yield _addressed(settings, runtime)
        return
    with embedded(settings) as addressed:
        yield addressed


@contextmanager
def embedded(settings: Settings) -> Iterator[Settings]:
    """Own the data folder and run the servers that the settings do not name."""
    folder = data_folder.prepare(settings.data_dir)
    with data_folder.owned(folder), ExitStack() as stack:
        database_url, dagster_url, redis_url = (
            str(url) if url else None
            for url in (settings.database_url, settings.dagster_url, settings.redis_url)
        )
        if database_url is None or dagster_url is None:
            postgres = EmbeddedPostgres(folder / "postgres")
            stack.callback(postgres.stop)
            postgres.start(_POSTGRES_PORT)
            database_url = database_url or postgres.create_database("sorafeed")
            dagster_url = dagster_url or _psycopg2(postgres.create_database("dagster"))
        if redis_url is None:
            redis = EmbeddedRedis(folder / "redis")
            stack.callback(redis.stop)
            redis.start(_REDIS_PORT)
            redis_url = redis.url
        runtime = data_folder.Runtime(os.getpid(), database_url, dagster_url, redis_url)
        data_folder.publish(folder, runtime)
        yield _addressed(settings, runtime)


def _complete(settings: Settings) -> bool:
    return all((settings.database_url, settings.dagster_url, settings.redis_url))


def _psycopg2(url: str) -> str:
    # dagster-postgres listens through psycopg2; SQLAlchemy would choose psycopg 3.
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def _addressed(settings: Settings, runtime: data_folder.Runtime) -> Settings:
    # Built anew, not copied, so that the addresses are checked like any others.
    return load_settings(
        **{
            **settings.model_dump(),
            "database_url": runtime.database_url,
            "dagster_url": runtime.dagster_url,
            "redis_url": runtime.redis_url,
        }
    )

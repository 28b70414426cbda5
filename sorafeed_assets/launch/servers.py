"""The servers that a command uses: given by settings, joined from a running `up`, or embedded."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sorafeed_assets.launch import data_folder
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.launch.processes import end_left_overs
from sorafeed_assets.launch.supervision import Supervisor
from sorafeed_assets.settings import Settings, load_settings

_POSTGRES_PORT: Final = 54320
_REDIS_PORT: Final = 63790


@contextmanager
def servers(settings: Settings, *, joinable: bool = False) -> Iterator[Settings]:
    """Yield settings in which every address is set, for as long as the block lasts.

    If ``joinable``, other commands may join the servers that are started here.

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
    with owned_folder(settings) as folder, embedded(settings, folder) as addressed:
        # A command that joined a short one would lose the servers when that ends.
        if joinable:
            publish(folder, addressed)
        yield addressed


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


def publish(folder: Path, addressed: Settings) -> None:
    """Let other commands join the servers at these addresses."""
    data_folder.publish(
        folder,
        data_folder.Runtime(
            os.getpid(),
            str(addressed.database_url),
            str(addressed.dagster_url),
            str(addressed.redis_url),
        ),
    )


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
        if database_url is None or dagster_url is None:
            postgres = EmbeddedPostgres(folder / "postgres")
            stack.callback(postgres.stop)
            postgres.start(_POSTGRES_PORT)
            if supervisor is not None:
                supervisor.watch(postgres)
            database_url = database_url or postgres.create_database("sorafeed")
            dagster_url = dagster_url or psycopg2_url(postgres.create_database("dagster"))
        if redis_url is None:
            redis = EmbeddedRedis(folder / "redis")
            stack.callback(redis.stop)
            redis.start(_REDIS_PORT)
            if supervisor is not None:
                supervisor.watch(redis)
            redis_url = redis.url
        yield _addressed(
            settings, data_folder.Runtime(os.getpid(), database_url, dagster_url, redis_url)
        )


def _complete(settings: Settings) -> bool:
    return all((settings.database_url, settings.dagster_url, settings.redis_url))


def psycopg2_url(url: str) -> str:
    """Rewrite an address for dagster-postgres."""
    # dagster-postgres listens through psycopg2; SQLAlchemy would choose psycopg 3.
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def _addressed(settings: Settings, runtime: data_folder.Runtime) -> Settings:
    # Built, not copied, so that the addresses are validated.
    return load_settings(
        **{
            **settings.model_dump(),
            "database_url": settings.database_url or runtime.database_url,
            "dagster_url": settings.dagster_url or runtime.dagster_url,
            "redis_url": settings.redis_url or runtime.redis_url,
        }
    )

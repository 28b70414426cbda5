"""The servers that a command uses: given by settings, joined from a running `up`, or embedded.

Most commands are given theirs, so what starts servers is imported only when it is needed.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import PostgresDsn
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch import data_folder
from sorafeed_assets.settings import Settings, load_settings
from sorafeed_assets.storage.postgres.engine import create_database_engine, ping
from sorafeed_assets.storage.postgres.retry import is_lost

_LOOK_SECONDS: Final = 1.0
# The host of an address with a user, and its port.
_PORT: Final = re.compile(r"(@[^/@:]+):\d+")


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
        yield addressed(settings, runtime)
        return
    from sorafeed_assets.launch.own_servers import embedded, owned_folder

    with owned_folder(settings) as folder, embedded(settings, folder) as found:
        # A command that joined a short one would lose the servers when that ends.
        if joinable:
            publish(folder, found)
        yield found


def joined(settings: Settings) -> Settings:
    """The settings with every address set: as given, or those of the servers that run.

    Raises:
        SetupError: an address is missing, and no servers run in the data folder.
    """
    if _complete(settings):
        return settings
    folder = settings.data_dir.resolve()
    runtime = data_folder.running(folder) if folder.exists() else None
    if runtime is None:
        raise SetupError(
            f"no instance runs in {folder}; start `sorafeed up` first, or set"
            " SORAFEED_DATABASE_URL, SORAFEED_DAGSTER_URL and SORAFEED_REDIS_URL"
        )
    return addressed(settings, runtime)


def wait_for_postgres(settings: Settings, seconds: float, say: Callable[[str], None]) -> None:
    """Wait until both databases answer, for at most ``seconds``; says so once for each.

    Who connects after that finds out what is wrong.
    """
    deadline = time.monotonic() + seconds
    for url in (settings.database_url, settings.dagster_url):
        engine = create_database_engine(str(url), settings)
        try:
            _wait_for(engine, deadline, say)
        finally:
            engine.dispose()


def _wait_for(engine: Engine, deadline: float, say: Callable[[str], None]) -> None:
    is_said = False
    while time.monotonic() < deadline:
        try:
            ping(engine)
        except DBAPIError as error:
            if not is_lost(error):
                raise
            if not is_said:
                say(f"waiting for PostgreSQL: {str(error.orig).strip()}")
            is_said = True
            time.sleep(_LOOK_SECONDS)
        else:
            return


def publish(folder: Path, found: Settings) -> None:
    """Let other commands join the servers at these addresses."""
    data_folder.publish(
        folder,
        data_folder.Runtime(
            os.getpid(),
            str(found.database_url),
            str(found.dagster_url),
            str(found.redis_url),
        ),
    )


def _complete(settings: Settings) -> bool:
    return all((settings.database_url, settings.dagster_url, settings.redis_url))


def psycopg2_url(url: str) -> str:
    """Rewrite an address for dagster-postgres."""
    # dagster-postgres listens through psycopg2; SQLAlchemy would choose psycopg 3.
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def old_side_is_own(settings: Settings) -> bool:
    """Whether the old catalogue is a database of the data folder's own server, as the demo's is."""
    return _is_own(settings, settings.legacy_catalog_url)


def _is_own(settings: Settings, url: PostgresDsn | None) -> bool:
    """Whether an address has the password that was made for the data folder's own server."""
    password = settings.data_dir.resolve() / "postgres" / "password"
    if url is None or not password.is_file():
        return False
    return [host["password"] for host in url.hosts()] == [password.read_text()]


def _old_catalog_url(settings: Settings, runtime: data_folder.Runtime) -> str | None:
    """The address of the old catalogue, at the port that the data folder's own server has now.

    That port is another one than before when another program has taken it.
    """
    given = settings.legacy_catalog_url
    if given is None:
        return None
    servers = (PostgresDsn(runtime.database_url), PostgresDsn(runtime.dagster_url))
    own = next((url for url in servers if _is_own(settings, url)), None)
    if own is None or not _is_own(settings, given):
        return str(given)
    # Not built again from its parts: blanks of the options would be written as "+".
    return _PORT.sub(f"\\g<1>:{own.hosts()[0]['port']}", str(given), count=1)


def addressed(settings: Settings, runtime: data_folder.Runtime) -> Settings:
    """The settings with every address set: as given, or those of ``runtime``."""
    # Built, not copied, so that the addresses are validated.
    return load_settings(
        **{
            **settings.model_dump(),
            "database_url": settings.database_url or runtime.database_url,
            "dagster_url": settings.dagster_url or runtime.dagster_url,
            "redis_url": settings.redis_url or runtime.redis_url,
            "legacy_catalog_url": _old_catalog_url(settings, runtime),
        }
    )

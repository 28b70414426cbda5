"""Dagster's home in the data folder."""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import RedisDsn

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings

# The number of planned materializations of a run that are stored at once.
_EVENTS_AT_ONCE: Final = "1000"


def prepare_home(settings: Settings) -> Path:
    """Create or update Dagster's home, with dagster.yaml and workspace.yaml; returns the folder.

    Raises:
        SetupError: the file that SORAFEED_DAGSTER_YAML names cannot be read, or the data folder
            cannot be written to.
    """
    instance, workspace = _instance_yaml(settings.dagster_yaml), _project_file("workspace.yaml")
    home = settings.data_dir.resolve() / "dagster"
    try:
        home.mkdir(parents=True, exist_ok=True)
        _write(home / "dagster.yaml", instance)
        _write(home / "workspace.yaml", workspace.read_text())
    except OSError as error:
        raise SetupError(
            f"{home} cannot be written to ({error.strerror}); choose another data folder by"
            " SORAFEED_DATA_DIR or --data-dir"
        ) from error
    return home


def _instance_yaml(given: Path | None) -> str:
    if given is not None:
        try:
            return given.read_text()
        except OSError as error:
            raise SetupError(f"SORAFEED_DAGSTER_YAML: {given}: {error.strerror}") from error
    parts = (Path(__file__).with_name("storage.yaml"), _project_file("dagster.yaml"))
    return "\n".join(part.read_text() for part in parts)


def _write(file: Path, text: str) -> None:
    """Replace a file at once, because other processes may share the folder and read it."""
    # Not named by the process id: programs in containers that share a volume often have the same.
    part = file.with_name(f"{file.name}.{uuid4()}")
    part.write_text(text)
    part.replace(file)


def _project_file(name: str) -> Path:
    """A file of the project: at the top of a checkout, in the package of an installation."""
    package = Path(__file__).parents[1]
    for folder in (package.parent, package):
        if (folder / name).exists():
            return folder / name
    raise SetupError(f"{name} is missing from the installation; install the package again")


def environment(settings: Settings) -> dict[str, str]:
    """The variables with which any Dagster process joins this instance."""
    home = settings.data_dir.resolve() / "dagster"
    variables = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": _EVENTS_AT_ONCE,
        **settings.as_environment(),
    }
    if settings.dagster_url is not None:
        variables["SORAFEED_DAGSTER_URL"] = psycopg2_url(str(settings.dagster_url))
    if settings.celery_url is None and settings.redis_url is not None:
        variables["SORAFEED_CELERY_URL"] = _next_database(settings.redis_url)
    return variables


def run_in_place(settings: Settings, program: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a program that joins the instance: one of Dagster's, for example.

    Programs of the same installation are found before others.

    Raises:
        SetupError: there is no such program.
    """
    prepare_home(settings)
    ours = str(Path(sys.executable).parent)
    path = os.pathsep.join(filter(None, (ours, os.environ.get("PATH"))))
    found = shutil.which(program, path=path)
    if found is None:
        raise SetupError(f"there is no program {program} in {ours} or on the path")
    variables = {**os.environ, **environment(settings), "PATH": path}
    # A shell starts what is in the background with SIGINT ignored; Dagster's programs would then
    # ignore SIGTERM too, because they handle both alike.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(found, [program, *arguments], variables)  # noqa: S606  # what the user asked for


def _next_database(url: RedisDsn) -> str:
    """The address of the database after this one, on the same Redis."""
    parts = urlsplit(str(url))
    return parts._replace(path=f"/{int(parts.path.strip('/') or 0) + 1}").geturl()

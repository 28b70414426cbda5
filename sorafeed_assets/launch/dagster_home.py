"""Dagster's home in the data folder, and the instance that lives there."""

import os
import shutil
from pathlib import Path

import dagster as dg

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.settings import Settings


def prepare_home(settings: Settings) -> Path:
    """Dagster's home with the project's dagster.yaml in it, made or brought up to date."""
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_dagster_yaml(), home / "dagster.yaml")
    return home


def _dagster_yaml() -> Path:
    package = Path(__file__).parents[1]
    for candidate in (package.parent / "dagster.yaml", package / "dagster.yaml"):
        if candidate.exists():
            return candidate
    raise SetupError("dagster.yaml is missing from the installation; install the package again")


def environment(settings: Settings) -> dict[str, str]:
    """The variables with which any Dagster process joins this instance."""
    home = settings.data_dir.resolve() / "dagster"
    return {"DAGSTER_HOME": str(home), **settings.as_environment()}


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance of the data folder, its storage made if need be."""
    home = prepare_home(settings)
    # dagster.yaml takes the storage's address from the environment.
    os.environ.update(environment(settings))
    return dg.DagsterInstance.from_config(str(home))

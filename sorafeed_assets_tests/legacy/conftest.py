"""A database with the old system's tables, beside this test's own database."""

from collections.abc import Iterator
from itertools import count

import pytest

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog, old_catalog
from sorafeed_assets_tests.legacy.old_side import old_database

_numbers = count()


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of an old catalogue."""
    with old_database(postgres, f"old_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def old(old_url: str) -> Iterator[OldCatalog]:
    """A connection to the old catalogue."""
    with old_catalog(old_url) as opened:
        yield opened

"""Servers for `react`: Dagster's instance in the database server of the tests."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.dagster_instance import dagster_database


@pytest.fixture
def addressed(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[Settings]:
    with dagster_database(settings, postgres) as found:
        yield found


@pytest.fixture
def instance(addressed: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(addressed) as opened:
        yield opened

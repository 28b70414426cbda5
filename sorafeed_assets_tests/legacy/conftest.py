"""A database with the old system's tables, beside this test's own database."""

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from psycopg import sql

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog, old_catalog
from sorafeed_assets_tests.legacy.old_side import TABLES

_numbers = count()


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of an old catalogue, in a locale of the C library as the old server's is."""
    name = f"old_{next(_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc"
                " LOCALE 'C.UTF-8'"
            ).format(sql.Identifier(name))
        )
    url = postgres.url(name)
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    yield url
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def old(old_url: str) -> Iterator[OldCatalog]:
    """A connection to the old catalogue."""
    with old_catalog(old_url) as opened:
        yield opened

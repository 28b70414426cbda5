"""A Dagster instance of the project's dagster.yaml, in a PostgreSQL database of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from psycopg import sql

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings

_numbers = count()


@contextmanager
def dagster_database(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[Settings]:
    """``settings`` with the address of an empty database for Dagster; see `open_instance`."""
    name = f"dagster_{next(_numbers)}"
    url = psycopg2_url(postgres.create_database(name))
    yield Settings.model_validate({**settings.model_dump(), "dagster_url": url})
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

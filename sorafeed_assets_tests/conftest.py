"""Real servers for the tests: one PostgreSQL and one Valkey per worker, a new database per test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate

# On a busy machine neither an input nor an example is made in the time that Hypothesis expects.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")
# `--hypothesis-profile long` runs more examples where a test says so.
hypothesis.settings.register_profile(
    "long", hypothesis.settings.get_profile("patient"), print_blob=True
)
# `make fuzz`.
hypothesis.settings.register_profile(
    "fuzz", hypothesis.settings.get_profile("patient"), print_blob=True
)

_TEMPLATE = "sorafeed_template"
# Tests need speed, not durability.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option of `make pictures`."""
    parser.addoption("--pictures", type=Path, help="save the pictures of the docs in this folder")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), _FAST)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), persist=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedPostgres) -> str:
    """A migrated, empty database that tests copy."""
    url = postgres.create_database(_TEMPLATE)
    engine = create_database_engine(url, Settings())
    migrate(engine)
    engine.dispose()
    return _TEMPLATE


_numbers = count()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """The address of a migrated database for this test only."""
    name = f"test_{next(_numbers)}"
    url = postgres.create_database(name, template_database)
    yield url
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The address of an empty Redis."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings that point at this test's servers."""
    return Settings.model_validate(
        {"database_url": database_url, "redis_url": redis_url, "data_dir": tmp_path / "sorafeed"}
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An engine on this test's database."""
    engine = create_database_engine(str(settings.database_url), settings)
    yield engine
    engine.dispose()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of this test's Redis."""
    with create_redis_client(redis_url) as client:
        yield client


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis for this test only, which it may stop; that deletes its data."""
    server = EmbeddedRedis(tmp_path / "redis", persist=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settler(engine: Engine, redis: Redis, settings: Settings) -> Settler:
    """Settles the displays of this test's servers."""
    return Settler.of(engine, redis, settings)


@pytest.fixture(scope="session")
def session_engine(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Engine]:
    """An engine for read-only queries, shared by all examples of a property."""
    url = postgres.create_database("shared", template_database)
    engine = create_database_engine(url, Settings())
    yield engine
    engine.dispose()

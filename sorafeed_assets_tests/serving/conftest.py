"""A served API for each test: the real server on a port, on a database of the test's own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.demo.clips import routes as clip_routes
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis, free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.serving.browsing import Site, chromium, copy_clips, watched_page
from sorafeed_assets_tests.serving.client import Api, readiness, token_of, wait_until
from sorafeed_assets_tests.serving.own_servers import Servers


@pytest.fixture
def server(settings: Settings) -> Iterator[str]:
    """The address of a served API whose start is complete."""
    with serving(settings, Listening(free_port(), routes=clip_routes())) as url:
        wait_until(lambda: readiness(url).status_code == 200)
        yield url


@pytest.fixture
def connect(server: str) -> Iterator[Callable[[str | None], Api]]:
    """Create clients, and close them at the end."""
    with ExitStack() as stack:

        def make(token: str | None) -> Api:
            client = Api(server, token)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def admin(connect: Callable[[str | None], Api], engine: Engine) -> Api:
    """A client with an admin's token."""
    return connect(token_of(engine, Role.ADMIN))


@pytest.fixture
def reader(connect: Callable[[str | None], Api], engine: Engine) -> Api:
    """A client with a reader's token."""
    return connect(token_of(engine, Role.READER))


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """A PostgreSQL and a Redis for this test only."""
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, per module, because its driver occupies the event loop of other modules."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A watched page."""
    with watched_page(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips as copies of one, so that tests spend no time on drawing."""
    return copy_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def web(settings: Settings, clips: Path) -> Settings:
    """Settings whose clips exist already."""
    shutil.copytree(clips, settings.data_dir / "clips" / "1")
    return settings


@pytest.fixture(scope="module")
def site(
    postgres: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
    template_database: str,
    clips: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """One server and database per module; each test uses its own displays and words."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(clips, folder / "clips" / "1")
    url = postgres.create_database(folder.name, template_database)
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    settings = Settings.model_validate(
        {"database_url": url, "redis_url": redis_server.url, "data_dir": folder}
    )
    engine = create_database_engine(url, settings)
    with serving(settings, Listening(free_port(), routes=clip_routes())) as address:
        admin = Api(address, token_of(engine, Role.ADMIN))
        yield Site(address, engine, admin)
        admin.close()
    engine.dispose()

"""A served API for each test: the real server on a port, on a database of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.embedded import free_port
from sorafeed_assets_tests.serving.client import Api, token_of, wait_until


@pytest.fixture
def server(settings: Settings) -> Iterator[str]:
    """The address of a served API that is ready: what it does at its start is over."""
    with serving(settings, Listening(free_port())) as url:
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        yield url


@pytest.fixture
def connect(server: str) -> Iterator[Callable[[str | None], Api]]:
    """Makes clients, and closes them."""
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

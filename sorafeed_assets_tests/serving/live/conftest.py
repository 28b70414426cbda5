"""A second server, which hears of the changes of the first."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import Api, token_of


@pytest.fixture
def other(settings: Settings, engine: Engine) -> Iterator[Api]:
    """A second server on the same databases."""
    with serving(settings, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        yield client
        client.close()

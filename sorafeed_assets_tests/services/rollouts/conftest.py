"""Redis for walls that roll out."""

from collections.abc import Iterator

import pytest
from redis import Redis

from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    client = create_redis_client(str(settings.redis_url))
    yield client
    client.close()

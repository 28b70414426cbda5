"""Snapshots read from Redis alone, for pages while PostgreSQL is unavailable."""

import json
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from sorafeed_assets.storage.cache.redis import ADMIN_KEY


def cached_admin_snapshot(redis: Redis) -> dict[str, Any] | None:
    """The admin snapshot as Redis has it; None when Redis has none or does not answer."""
    try:
        found = redis.get(ADMIN_KEY)
        snapshot = json.loads(found) if isinstance(found, str) else None
    except (RedisError, ValueError):
        return None
    return snapshot if isinstance(snapshot, dict) else None

"""Runs that change the tracked terms notify the servers, which cache answers."""

import json

import dagster as dg
import pytest
from pydantic import RedisDsn

from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CHANGES, TERMS_TAG
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import add_display, add_playlist

_END = "the end of what is told"


@pytest.mark.parametrize("by", ["asset", "settling"])
def test_other_terms_are_told_once(dagster: Dagster, by: str) -> None:
    connections = dagster.connections
    add_display(connections.engine, "AAAAAA")
    add_playlist(connections.engine, "AAAAAA", [("cat", 1)])
    with connections.redis.pubsub() as channel:  # type: ignore[no-untyped-call]  # redis has no type here
        channel.subscribe(CHANGES)
        for _ in range(2):
            if by == "asset":
                job = dagster.definitions.resolve_implicit_global_asset_job_def()
                asked = [dg.AssetKey("search_terms")]
                assert job.execute_in_process(
                    instance=dagster.instance, asset_selection=asked
                ).success
            else:
                connections.settler.settle(["AAAAAA"])
        heard: list[str] = []
        connections.redis.publish(CHANGES, json.dumps([_END]))
        while _END not in heard:
            message = channel.get_message(timeout=60)
            assert message is not None
            if message["type"] == "message":
                heard += json.loads(message["data"])
    assert heard.count(TERMS_TAG) == 1


def test_terms_are_followed_while_redis_is_away(settings: Settings) -> None:
    away = RedisDsn(f"redis://127.0.0.1:{free_port()}/0")
    connections = Connections(settings.model_copy(update={"redis_url": away}))
    add_display(connections.engine, "AAAAAA")
    add_playlist(connections.engine, "AAAAAA", [("cat", 1)])
    assert connections.settler.follow_terms().added == 1
    connections.close()

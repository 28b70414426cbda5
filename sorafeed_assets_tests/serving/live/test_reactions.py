"""How soon a change reaches its display, in the metrics and on the admin page."""

import re
from collections.abc import Callable
from queue import Queue
from threading import Thread

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.wall import add_playlist, add_posts


def _observed(api: Api, stage: str) -> int:
    pattern = f'sorafeed_reaction_seconds_count{{stage="{stage}"}} ([0-9.]+)'
    found = re.search(pattern, api.http.get("/metrics").text)
    return int(float(found[1])) if found else 0


def test_an_edit_by_sql_is_followed_to_the_screen(
    admin: Api, engine: Engine, settings: Settings, connect: Callable[[str | None], Api]
) -> None:
    add_posts(engine, "cat", 20)
    make_display(admin, "PLAY01", newest("cat", 6))
    player = connect(token_of(engine, Role.DISPLAY, "PLAY01"))
    heard: Queue[str] = Queue()

    def listen() -> None:
        with player.http.stream("GET", "/api/displays/PLAY01/events") as stream:
            for line in stream.iter_lines():
                heard.put(line)
                if line == "event: change":
                    return

    thread = Thread(target=listen)
    thread.start()
    while heard.get(timeout=60) != "event: open":
        pass
    wait_until(lambda: _observed(admin, "queue") >= 1)
    before = _observed(admin, "queue")
    assert _observed(admin, "event") == _observed(admin, "started") == 0
    add_playlist(engine, "PLAY01", [("cat", 3)])
    with Redis.from_url(str(settings.redis_url), decode_responses=True) as redis:
        assert Settler.of(engine, redis, settings).settle_changed() is not None
    thread.join(60)
    head = player.http.get("/api/displays/PLAY01/next").json()["videos"][0]["entry"]
    assert player.http.post("/api/displays/PLAY01/started", json={"entry": head}).json()["begun"]
    # Creating the display was a change too, without a connected page.
    wait_until(lambda: _observed(admin, "started") >= 1)
    assert _observed(admin, "queue") == before + 1
    assert _observed(admin, "event") >= 1
    page = admin.http.get("/admin").text
    assert re.search(r"queued within \d+\.\d\d s / \d+\.\d\d s, sent to players within", page)

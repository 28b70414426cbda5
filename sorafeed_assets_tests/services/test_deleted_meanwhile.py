"""A display that is deleted while something is written for it: the answer is that it is gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import time

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.domain.playlists.time_slots import EVERY_DAY, SlotDraft
from sorafeed_assets.services.pairing import begin_pairing, connect_screen
from sorafeed_assets.services.playlists import editing, timetables
from sorafeed_assets.services.timelines import remote
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.tokens import Role, create_screen_link, create_token
from sorafeed_assets.storage.playlists import rows as sql
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, run
from sorafeed_assets_tests.cli.running import wait_until

CODE = "HALL01"
SEEN = remote.Told("playing", is_muted=False, volume=50)
_WAITING = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def _connect(engine: Engine) -> object:
    _secret, pairing = begin_pairing(engine, "127.0.0.1")
    return connect_screen(engine, pairing.code, display_id=CODE)


@pytest.mark.parametrize(
    "write",
    [
        lambda engine: remote.set_sound(engine, CODE, volume=5),
        lambda engine: remote.set_sound(engine, CODE, is_muted=True),
        lambda engine: remote.seek(engine, CODE, 1.0),
        lambda engine: editing.create_playlist(engine, CODE, "Night", [BlockDraft("cat", 2)]),
        lambda engine: create_token(engine, Role.DISPLAY, "wall", display_id=CODE),
        lambda engine: create_screen_link(engine, CODE, "wall"),
        _connect,
    ],
)
def test_it_is_not_found(engine: Engine, write: Callable[[Engine], object]) -> None:
    add_posts(engine, "cat", 10)
    add_display(engine, CODE)
    add_playlist(engine, CODE, [("cat", 3)])
    TimelineService(engine).repopulate([CODE])
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as deleting:
            sql.delete_display(deleting, CODE)
            written = threads.submit(write, engine)
            wait_until(lambda: run(engine, _WAITING), "the other to wait for the deletion")
        with pytest.raises(NotFoundError, match=CODE):
            written.result(60)


def test_a_playlist_of_it_is_not_found(engine: Engine) -> None:
    add_display(engine, CODE)
    playlist = add_playlist(engine, CODE, [("cat", 3)])
    always = SlotDraft(EVERY_DAY, time(), time(), "UTC")
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as deleting:
            sql.lock_displays(deleting, [CODE])
            sql.delete_playlist(deleting, CODE, playlist)
            written = threads.submit(timetables.replace_slots, engine, playlist, [always])
            wait_until(lambda: run(engine, _WAITING), "the other to wait for the deletion")
        with pytest.raises(NotFoundError, match=str(playlist)):
            written.result(60)


def test_what_a_player_reports_of_it_is_forgotten(engine: Engine) -> None:
    add_display(engine, CODE)
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as deleting:
            sql.delete_display(deleting, CODE)
            told = threads.submit(remote.store_report, engine, CODE, SEEN)
            wait_until(lambda: run(engine, _WAITING), "the other to wait for the deletion")
        assert not told.result(60)

"""What players could not show or get is stored by display, and read as signals of rollouts."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets.serving.live.troubles import Troubles
from sorafeed_assets.storage.rollouts.players import drop_old_of_players
from sorafeed_assets.storage.rollouts.signals import Counts, read_signals
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, wait_until
from sorafeed_assets_tests.wall import add_posts

_HALL = "HALL01"


def _read(engine: Engine, signal: Signal) -> Counts:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    with engine.connect() as connection:
        return read_signals(connection, [signal], [_HALL], now - hour, now + hour)[signal]


def test_a_broken_video_is_a_failure_and_a_skip_of_a_person_is_not(
    engine: Engine, admin: Api
) -> None:
    add_posts(engine, "tea", 9)
    make_display(admin, _HALL, newest("tea", 9))
    entries = [str(row.id) for row in queue_of(engine, _HALL)]
    address = f"/api/displays/{_HALL}/played"
    # The player tells a broken video as skipped; told twice, it is one play.
    for _ in range(2):
        answer = admin.http.post(address, json={"entry": entries[0], "skipped": True})
        assert answer.status_code == 200
    many = [{"display": _HALL, "entry": e, "skipped": e == entries[1]} for e in entries[1:3]]
    assert admin.http.post("/api/plays", json={"plays": many}).status_code == 200
    admin.ask(f'mutation {{ skip(displayId: "{_HALL}") {{ display {{ id }} }} }}')
    wait_until(lambda: _read(engine, Signal.FAILED) == {_HALL: (2, 4)})
    assert _read(engine, Signal.SKIPPED) == {_HALL: (1, 4)}


def test_requests_of_players_are_counted_by_display(engine: Engine, admin: Api) -> None:
    add_posts(engine, "tea", 9)
    make_display(admin, _HALL, newest("tea", 9))
    for path in (f"{_HALL}/next", f"{_HALL}/next", "NOHALL/next"):
        admin.http.get(f"/api/displays/{path}")
    wait_until(lambda: run(engine, "SELECT FROM display_requests") != [])
    assert _read(engine, Signal.API_ERRORS) == {_HALL: (0, 2)}
    assert run(engine, "SELECT DISTINCT display_id FROM display_requests") == [(_HALL,)]


def test_a_change_is_on_screen_when_the_player_starts_a_video(engine: Engine, admin: Api) -> None:
    add_posts(engine, "tea", 9)
    make_display(admin, _HALL, newest("tea", 9))
    # Nothing is known of a screen before its player tells of it.
    wait_until(lambda: _read(engine, Signal.SLOW) != {})
    assert _read(engine, Signal.LATE_ON_SCREEN) == {}
    head = str(queue_of(engine, _HALL)[0].id)
    answer = admin.http.post(f"/api/displays/{_HALL}/started", json={"entry": head})
    assert answer.json() == {"begun": True}
    wait_until(lambda: _read(engine, Signal.LATE_ON_SCREEN) != {})
    late, changes = _read(engine, Signal.LATE_ON_SCREEN)[_HALL]
    assert 0 <= late <= changes > 0


def test_what_cannot_be_stored_is_stored_later(engine: Engine) -> None:
    troubles = Troubles()
    for status in (200, 304, 404, 401, 429, 503, 500):
        troubles.answered(_HALL, status)
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(OperationalError):
        troubles.store(nowhere)
    nowhere.dispose()
    troubles.store(engine)
    assert _read(engine, Signal.API_ERRORS) == {_HALL: (2, 4)}
    troubles.store(engine)
    assert _read(engine, Signal.API_ERRORS) == {_HALL: (2, 4)}
    run(engine, "UPDATE display_requests SET minute = minute - interval '2 days'")
    with engine.begin() as connection:
        drop_old_of_players(connection)
    assert run(engine, "SELECT FROM display_requests") == []

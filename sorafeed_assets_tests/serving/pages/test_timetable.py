"""The page of a timetable, by its forms, and the same by GraphQL, on a served API."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.playlists.time_slots import EVERY_DAY, TimeSlot, draft_slot
from sorafeed_assets.domain.playlists.time_zones import load_zone
from sorafeed_assets.domain.playlists.timetable import spans
from sorafeed_assets.serving.pages import calendar
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts

HERE = {"sec-fetch-site": "same-origin"}
PAGE = "/admin/displays/HALL01/timetable"
_SLOTS = """
SELECT p.name, s.days, to_char(s.starts, 'HH24:MI'), s.time_zone, s.priority
FROM time_slots s JOIN playlists p ON p.id = s.playlist_id
"""
_REPLACE = """
mutation ($id: ID!, $slots: [TimeSlotInput!]!) {
  replaceTimeSlots(playlistId: $id, slots: $slots) {
    display {
      activePlaylist { name }
      timetable {
        chosenBy nextSwitch nextPlaylistId basePlaylistId unusableSlots
        slots { id playlistId days starts ends timeZone firstDay lastDay priority text }
        spans(start: "2026-07-01T00:00:00Z", days: 1) { start end playlistId slotId }
      }
    }
  }
}
"""
_FORM = {
    "starts": "00:00",
    "ends": "24:00",
    "time_zone": "Europe/Vienna",
    "priority": "2",
    **{f"day_{day}": "on" for day in range(1, 8)},
}


@pytest.fixture
def playlists(engine: Engine, admin: Api) -> tuple[str, str]:
    """A display with a base playlist and a newer one, which is active."""
    add_posts(engine, "tea", 9)
    make_display(admin, "HALL01", newest("tea", 6))
    run(engine, "UPDATE playlists SET name = 'Base'")
    create = """mutation { createPlaylist(displayId: "HALL01", name: "All day",
        blocks: [{search: "tea", videoCount: 2}]) { playlist { id } } }"""
    made = admin.ask(create)["createPlaylist"]["playlist"]["id"]
    [(base,)] = run(engine, "SELECT id::text FROM playlists WHERE name = 'Base'")
    return base, made


def _post(api: Api, **fields: str) -> Any:
    return api.http.post(PAGE, data=fields, headers=HERE)


def test_forms_add_change_and_remove_a_slot(
    admin: Api, reader: Api, engine: Engine, playlists: tuple[str, str]
) -> None:
    base, other = playlists
    assert "No playlist has time slots" in admin.http.get(PAGE).text
    form = {**_FORM, "playlist": other}
    assert _post(reader, **form).status_code == 403
    assert _post(admin, **form).status_code == 303
    assert run(engine, _SLOTS) == [("All day", [1, 2, 3, 4, 5, 6, 7], "00:00", "Europe/Vienna", 2)]
    page = " ".join(reader.http.get(PAGE).text.split())
    assert "<b>All day</b> is active by its time slot" in page
    assert "Every day all day (Europe/Vienna)" in page
    assert "Add a time slot" not in page
    assert "A tea number" in page.split("What plays when")[1]
    [(slot,)] = run(engine, "SELECT id::text FROM time_slots")
    edited = admin.http.get(f"{PAGE}?slot={slot}").text
    assert "Change the time slot" in edited
    late = {**form, "slot": slot, "starts": "10:30", "ends": "10:30:01", "priority": "0"}
    assert _post(admin, **late).status_code == 303
    assert [row[2] for row in run(engine, _SLOTS)] == ["10:30"]
    shown = admin.http.get("/admin/displays/HALL01").text
    assert "Active as the base playlist; next is All day" in shown
    assert _post(admin, do="base", playlist=other).status_code == 400
    assert _post(admin, do="base", playlist=base).status_code == 303
    assert _post(admin, **late).status_code == 400  # it was replaced, so that it is gone
    [(slot,)] = run(engine, "SELECT id::text FROM time_slots")
    assert _post(admin, do="remove", slot=slot, playlist=other).status_code == 303
    assert run(engine, _SLOTS) == []


@pytest.mark.parametrize(
    ("changed", "problem", "name"),
    [
        ({"starts": "25:00"}, "From is &#39;25:00&#39;; write a time", "starts"),
        ({"priority": "many"}, "Priority is &#39;many&#39;; it must be 0 to 100", "priority"),
        ({"priority": "1" * 5_000}, "it must be 0 to 100", "priority"),
        ({"time_zone": "Mars"}, "Time zone is &#39;Mars&#39;, which is no time zone", "time_zone"),
        ({"playlist": "gone"}, "Playlist is no longer there", "playlist"),
    ],
)
def test_an_error_is_beside_its_field_and_keeps_what_was_entered(
    admin: Api,
    engine: Engine,
    playlists: tuple[str, str],
    changed: dict[str, str],
    problem: str,
    name: str,
) -> None:
    refused = _post(admin, **{**_FORM, "playlist": playlists[1], "ends": "23:45", **changed})
    assert refused.status_code == 400
    assert problem in refused.text
    assert 'value="23:45"' in refused.text
    if name != "playlist":
        field = refused.text.split(f'name="{name}"')[1].split(">")[0]
        assert 'aria-invalid="true"' in field
    assert run(engine, _SLOTS) == []


def test_a_slot_of_another_display_stays(
    admin: Api, engine: Engine, playlists: tuple[str, str]
) -> None:
    make_display(admin, "HALL02", newest("tea", 3))
    [(theirs,)] = run(engine, "SELECT id::text FROM playlists WHERE display_id = 'HALL02'")
    assert _post(admin, **_FORM, playlist=theirs).status_code == 400
    assert run(engine, _SLOTS) == []


def test_the_same_by_graphql(admin: Api, playlists: tuple[str, str]) -> None:
    base, other = playlists
    slot = {"days": ["WEDNESDAY"], "starts": "9:00", "ends": "17:00", "timeZone": "UTC"}
    answer = admin.ask(_REPLACE, id=other, slots=[slot])["replaceTimeSlots"]["display"]
    timetable = answer["timetable"]
    assert timetable["basePlaylistId"] == base
    assert timetable["slots"][0]["text"] == "Wed 09:00-17:00 (UTC)"
    assert [(s["start"][11:16], s["playlistId"]) for s in timetable["spans"]] == [
        ("00:00", base),
        ("09:00", other),
        ("17:00", base),
    ]
    emptied = admin.ask(_REPLACE, id=other, slots=[])["replaceTimeSlots"]["display"]
    assert emptied == {"activePlaylist": {"name": "Base"}, "timetable": None}


_FILE = """days,starts,ends,time_zone,first_day,last_day,priority
"Sat, Sun",10:00,18:00,Europe/Vienna,,2030-12-31,2
"""


def test_the_page_exports_and_imports_files(
    admin: Api, reader: Api, engine: Engine, playlists: tuple[str, str]
) -> None:
    base, other = playlists
    sent = {"do": "import", "playlist": other}
    assert _post(reader, **sent, text=_FILE).status_code == 403
    assert _post(admin, **sent, text=_FILE.replace("\n", "\r\n")).status_code == 303
    stored = [("All day", [6, 7], "10:00", "Europe/Vienna", 2)]
    assert run(engine, _SLOTS) == stored
    page = reader.http.get(PAGE).text
    addresses = [f"/api/playlists/{other}/slots.{kind}" for kind in ("csv", "json")]
    files = []
    for address in addresses:
        assert f'href="{address}" download' in page
        files.append(reader.http.get(address))
    assert "Replace the time slots of" not in page
    assert files[0].text == _FILE
    assert "All%20day%20time%20slots.csv" in files[0].headers["content-disposition"]
    assert _post(admin, **{**sent, "playlist": base}, text=files[1].text).status_code == 303
    assert sorted(run(engine, _SLOTS)) == sorted([*stored, ("Base", *stored[0][1:])])

    wrong = _FILE.replace("18:00", "25:00").replace("Vienna", "Mars")
    refused = _post(admin, **sent, text=wrong)
    assert refused.status_code == 400
    shown = refused.text.split('id="files"')[1]
    assert "Line 2: " in shown
    assert "25:00" in shown.split("<textarea")[1].split("</textarea>")[0]
    assert f'<option value="{other}" selected>' in shown
    assert len(run(engine, _SLOTS)) == 2


def test_slots_are_put_by_http_and_settled(
    admin: Api, engine: Engine, playlists: tuple[str, str]
) -> None:
    _, other = playlists
    address = f"/api/playlists/{other}/slots"
    done = admin.http.put(f"{address}.csv", content=f"\ufeff{_FILE}".encode())
    assert done.json() == {"display": "HALL01", "slots": 1, "problem": None}
    assert len(run(engine, _SLOTS)) == 1
    for kind, body, problem in (
        ("csv", _FILE.replace("10:00", "10 am").encode(), "line 2, starts"),
        ("csv", "Zürich".encode("latin-1"), "UTF-8"),
        ("json", _FILE.encode(), "is not valid JSON"),
    ):
        refused = admin.http.put(f"{address}.{kind}", content=body)
        assert refused.status_code == 400
        assert problem in refused.text
    assert admin.http.put(f"{address}.xlsx", content=b"").status_code == 404
    assert len(run(engine, _SLOTS)) == 1
    assert admin.http.get(f"/api/playlists/{other}.json").json()["slots"][0]["priority"] == 2
    emptied = admin.http.put(f"{address}.json", json={"slots": []})
    assert emptied.json()["slots"] == 0
    assert run(engine, _SLOTS) == []
    [(active,)] = run(engine, "SELECT name FROM playlists WHERE is_active")
    assert active == "Base"


def test_the_calendar_shows_days_by_the_clock_on_the_wall() -> None:
    vienna, monday = load_zone("Europe/Vienna"), date(2026, 3, 23)
    draft = draft_slot(0, days=EVERY_DAY, starts="22:00", ends="04:00", time_zone="Europe/Vienna")
    made = datetime(2026, 1, 1, tzinfo=UTC)
    slot = TimeSlot(UUID(int=1), UUID(int=2), made, draft)
    start, end = calendar.bounds(monday, vienna)
    assert end - start == timedelta(days=7, hours=-1)  # the clock is put forward on Sunday
    names = {UUID(int=2): "Night", UUID(int=3): "Base"}
    now = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    week = calendar.week_of(
        list(spans([slot], start, end)), monday, vienna, names, UUID(int=3), now
    )
    assert len(week.boxes) == 14
    assert {box.height for box in week.boxes} == {2.0 * calendar.HOUR, 4.0 * calendar.HOUR}
    assert [line.text for line in week.lines if line.is_now] == ["Sat 22:00 to Sun 04:00"]
    assert calendar.monday_of("2026-03-29", vienna) == monday
    assert calendar.monday_of("never", vienna, now) == monday

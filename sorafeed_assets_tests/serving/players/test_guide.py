"""The guide on a served API: durations that players tell, JSON, XMLTV and iCalendar."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import Element, fromstring

import pytest
from icalendar import Calendar
from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, wait_until
from sorafeed_assets_tests.wall import add_posts

_GUIDE = "/api/displays/HALL01/guide"
# The children of a programme in the order of xmltv.dtd, as far as they are written here.
_ORDER = ["title", "desc", "category", "length", "url"]


@pytest.fixture
def display(engine: Engine, admin: Api) -> str:
    add_posts(engine, "tea", 9)
    run(engine, "UPDATE sora_posts SET text = E'tea \\x07 & <b>milk</b>\\n' || id")
    make_display(admin, "HALL01", newest("tea", 6))
    return "HALL01"


def _tell(admin: Api, **changed: object) -> Any:
    video = admin.http.get("/api/displays/HALL01/next").json()["videos"][0]
    body = {"entry": video["entry"], "duration_ms": 4_000, **changed}
    return video["video"], admin.http.post("/api/displays/HALL01/started", json=body)


def test_a_player_tells_how_long_its_video_is(admin: Api, engine: Engine, display: str) -> None:
    stored = "SELECT post_id, duration_ms FROM post_durations"
    video, told = _tell(admin)
    assert told.status_code == 200
    wait_until(lambda: run(engine, stored) == [(video, 4_000)])
    _tell(admin, duration_ms=4_500)
    wait_until(lambda: run(engine, stored) == [(video, 4_500)])
    for wrong in (99, 86_400_001, 1.5, True, "4000"):
        assert _tell(admin, duration_ms=wrong)[1].status_code == 400
    assert _tell(admin, entry=str(uuid4()))[1].status_code == 200  # of no display: left out
    assert _tell(admin, duration_ms=None)[1].status_code == 200
    wait_until(lambda: run(engine, stored) == [(video, 4_500)])


def test_the_guide_has_clock_times_and_says_which_are_estimates(
    admin: Api, engine: Engine, display: str
) -> None:
    video, _ = _tell(admin)
    wait_until(lambda: len(run(engine, "SELECT FROM post_durations")) == 1)
    guide = admin.http.get(f"{_GUIDE}.json?hours=1").json()
    assert (guide["known_durations"], guide["estimated_duration_ms"]) == (1, 4_000)
    entries = guide["entries"]
    assert entries[0]["video"] == video
    assert [entry["is_estimated"] for entry in entries[:3]] == [False, True, True]
    assert entries[0]["end"] == entries[1]["start"]
    start, end = (datetime.fromisoformat(entries[1][name]) for name in ("start", "end"))
    assert end - start == timedelta(seconds=4)
    assert entries[-1]["video"] is None
    assert admin.http.get(f"{_GUIDE}.json?hours=0").status_code == 400
    assert admin.http.get("/api/displays/NOHALL/guide.json").status_code == 404


def test_xmltv_is_as_its_dtd_says(admin: Api, display: str) -> None:
    answer = admin.http.get(f"{_GUIDE}.xml?hours=1")
    assert answer.headers["content-type"].startswith("application/xml")
    assert b'<!DOCTYPE tv SYSTEM "xmltv.dtd">' in answer.content
    tv = fromstring(answer.content)  # noqa: S314  # our own server's answer
    assert tv.tag == "tv"
    channel, *programmes = tv
    assert channel.tag == "channel"
    assert [child.tag for child in channel] == ["display-name", "display-name"]
    assert len(programmes) > 5
    assert [p.get("stop") for p in programmes[:-1]] == [p.get("start") for p in programmes[1:]]
    for programme in programmes:
        _check_programme(programme, channel.get("id"))
    assert "\ufffd & <b>milk</b>" in (programmes[0].findtext("title") or "")


def _check_programme(programme: Element, channel: str | None) -> None:
    assert programme.tag == "programme"
    assert set(programme.keys()) == {"start", "stop", "channel"}
    assert programme.get("channel") == channel
    start, stop = (
        datetime.strptime(programme.get(name) or "", "%Y%m%d%H%M%S %z")
        for name in ("start", "stop")
    )
    assert start < stop
    tags = [child.tag for child in programme]
    assert tags == sorted(tags, key=_ORDER.index)
    assert "title" in tags


def test_icalendar_is_read_back(admin: Api, display: str) -> None:
    answer = admin.http.get(f"{_GUIDE}.ics?hours=1")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    calendar = Calendar.from_ical(answer.content)
    events = calendar.walk("VEVENT")
    assert len(events) > 5
    assert len({str(event["uid"]) for event in events}) == len(events)
    for event in events:
        assert not event.errors
        assert event.decoded("dtstart") <= event.decoded("dtend")
        assert event.decoded("dtstart").utcoffset() == timedelta()
    again = Calendar.from_ical(admin.http.get(f"{_GUIDE}.ics?hours=1").content)
    assert events[0]["uid"] == again.walk("VEVENT")[0]["uid"]

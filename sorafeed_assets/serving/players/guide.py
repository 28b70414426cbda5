"""The guide of a display as JSON, XMLTV and iCalendar."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sorafeed_assets.domain.errors import DisplayNotFoundError
from sorafeed_assets.domain.timelines.guide import GuideEntry
from sorafeed_assets.services.records import PostRecord
from sorafeed_assets.services.timelines.guide import Guide, guide_of
from sorafeed_assets.serving.players.media import page_url
from sorafeed_assets.serving.players.requests import display_of, number_in
from sorafeed_assets.serving.state import ServerState

MAX_HOURS: Final = 48
_HOURS: Final = 6
_DELETED: Final = "(the post was deleted)"
_TITLE_LENGTH: Final = 120
_GENERATOR: Final = "Sorafeed"
# XML 1.0 has no way to write these.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Posts = Mapping[str, PostRecord]


async def guide_json(request: Request) -> Response:
    """The guide as JSON."""
    server, code = display_of(request)
    hours = _hours(request)
    guide, name, posts = await server.run(lambda: _read(server, code, hours))
    return _answer(to_json(guide, name, posts), "application/json")


async def guide_xmltv(request: Request) -> Response:
    """The guide as XMLTV."""
    server, code = display_of(request)
    hours = _hours(request)
    guide, name, posts = await server.run(lambda: _read(server, code, hours))
    return _answer(to_xmltv(guide, name, posts), "application/xml")


async def guide_icalendar(request: Request) -> Response:
    """The guide as iCalendar."""
    server, code = display_of(request)
    hours = _hours(request)
    guide, name, posts = await server.run(lambda: _read(server, code, hours))
    return _answer(to_icalendar(guide, name, posts), "text/calendar; charset=utf-8")


def _answer(body: bytes, kind: str) -> Response:
    return Response(body, media_type=kind, headers={"cache-control": "private, no-cache"})


def _hours(request: Request) -> int:
    return number_in(request.query_params.get("hours", str(_HOURS)), "hours", 1, MAX_HOURS)


def _read(server: ServerState, code: str, hours: int) -> tuple[Guide, str, Posts]:
    record = server.queries.displays([code]).get(code)
    if record is None:
        raise DisplayNotFoundError(code)
    guide = guide_of(server.engine, code, timedelta(hours=hours))
    videos = {entry.pick.video_id for entry in guide.entries if entry.pick}
    return guide, record.name, server.queries.posts(videos)


def title_of(entry: GuideEntry, guide: Guide, posts: Posts) -> str:
    """The text of a video, on one line, or the name of a playlist that is not planned yet."""
    if entry.pick is None:
        return guide.playlists.get(entry.playlist_id, "(a deleted playlist)")
    post = posts.get(entry.pick.video_id)
    text = " ".join(((post.text if post else None) or _DELETED).split())
    return text if len(text) <= _TITLE_LENGTH else f"{text[: _TITLE_LENGTH - 1]}…"


def description_of(entry: GuideEntry, guide: Guide) -> str:
    """What an entry is, for people, and whether its times are estimates."""
    name = guide.playlists.get(entry.playlist_id, "(a deleted playlist)")
    if entry.pick is None:
        return f"Playlist {name}. Its videos are not planned yet."
    about = "Its times are estimates." if entry.is_estimated else "Its times are from durations."
    return f"Playlist {name}, search: {entry.pick.search}. {about}"


def to_json(guide: Guide, name: str, posts: Posts) -> bytes:
    """The guide as JSON; times are in UTC, durations in milliseconds."""
    return orjson.dumps(
        {
            "display": guide.display_id,
            "name": name,
            "now": guide.now,
            "estimated_duration_ms": guide.estimate // timedelta(milliseconds=1),
            "planned": guide.planned,
            "known_durations": guide.known,
            "entries": [_entry(entry, guide, posts) for entry in guide.entries],
        }
    )


def _entry(entry: GuideEntry, guide: Guide, posts: Posts) -> dict[str, Any]:
    pick = entry.pick
    return {
        "start": entry.start,
        "end": entry.end,
        "is_estimated": entry.is_estimated,
        "playlist": str(entry.playlist_id),
        "playlist_name": guide.playlists.get(entry.playlist_id),
        "video": None if pick is None else pick.video_id,
        "loop": None if pick is None else pick.loop,
        "position": None if pick is None else pick.position,
        "search": None if pick is None else pick.search,
        "title": title_of(entry, guide, posts),
    }


def to_xmltv(guide: Guide, name: str, posts: Posts) -> bytes:
    """The guide as XMLTV: the display is the channel, each entry a programme."""
    root = Element("tv", {"generator-info-name": _GENERATOR})
    channel_id = f"{guide.display_id}.sorafeed"
    channel = SubElement(root, "channel", {"id": channel_id})
    _text(channel, "display-name", name)
    _text(channel, "display-name", guide.display_id)
    for entry in guide.entries:
        start, stop = _xmltv_time(entry.start), _xmltv_time(entry.end)
        # Times are whole seconds there, and a programme has to have some length.
        if start == stop:
            continue
        programme = SubElement(
            root, "programme", {"start": start, "stop": stop, "channel": channel_id}
        )
        _text(programme, "title", title_of(entry, guide, posts))
        _text(programme, "desc", description_of(entry, guide))
        if entry.pick is not None:
            _text(programme, "category", entry.pick.search)
            if not entry.is_estimated:
                length = SubElement(programme, "length", {"units": "seconds"})
                length.text = str(round((entry.end - entry.start).total_seconds()))
            post = posts.get(entry.pick.video_id)
            address = page_url(post.permalink) if post else None
            if address:
                _text(programme, "url", address)
    indent(root)
    doctype = b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tv SYSTEM "xmltv.dtd">\n'
    body: bytes = tostring(root, "utf-8")
    return doctype + body + b"\n"


def _xmltv_time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S +0000")


def _text(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = _NOT_IN_XML.sub("\ufffd", text)


def to_icalendar(guide: Guide, name: str, posts: Posts) -> bytes:
    """The guide as iCalendar, with one event for each entry."""
    # Imported here, because it takes long and few ask for it.
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//Sorafeed//Guide//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", _NOT_IN_XML.sub("\ufffd", name))
    for entry in guide.entries:
        event = Event()
        event.add("uid", _uid(entry, guide.display_id))
        event.add("dtstamp", guide.now.replace(microsecond=0))
        event.add("dtstart", entry.start.replace(microsecond=0))
        event.add("dtend", entry.end.replace(microsecond=0))
        event.add("summary", _NOT_IN_XML.sub("\ufffd", title_of(entry, guide, posts)))
        event.add("description", _NOT_IN_XML.sub("\ufffd", description_of(entry, guide)))
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _uid(entry: GuideEntry, display_id: str) -> str:
    """The same for the same position of a loop, so that a calendar moves what was moved."""
    if entry.pick is None:
        return f"{display_id}-{entry.playlist_id}-{entry.start:%Y%m%dT%H%M%S}@sorafeed"
    return f"{display_id}-{entry.playlist_id}-{entry.pick.loop}-{entry.pick.position}@sorafeed"

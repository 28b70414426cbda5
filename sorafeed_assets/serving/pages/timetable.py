"""The page of a display's timetable: the week as a calendar, time slots, the base playlist."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.domain.playlists.slot_files import parse_slots
from sorafeed_assets.domain.playlists.time_slots import (
    MAX_PRIORITY,
    TimeSlot,
    Weekday,
    draft_slot,
    shown_slot,
    shown_time,
)
from sorafeed_assets.domain.playlists.time_zones import load_zone, zone_names
from sorafeed_assets.domain.text import sentence
from sorafeed_assets.services.playlists.timetables import spans_of, timetable_of
from sorafeed_assets.services.timelines.guide import guide_of
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.http.errors import kind_of
from sorafeed_assets.serving.pages import calendar
from sorafeed_assets.serving.pages.forms import fields_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import REFERRER, permitted
from sorafeed_assets.serving.players.guide import title_of
from sorafeed_assets.serving.players.requests import number_in
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.serving.wording import refusal

_WORKDAYS: Final = frozenset(list(Weekday)[:5])
_GUIDE: Final = timedelta(hours=1)
_MOST_ENTRIES: Final = 12
_IMPORT: Final = "import"
_EMPTY: Final = {
    "playlist": "",
    "starts": "09:00",
    "ends": "17:00",
    "time_zone": "UTC",
    "first_day": "",
    "last_day": "",
    "priority": "0",
    "slot": "",
}


def page_of(code: str) -> str:
    """The path of the page."""
    return f"/admin/displays/{code}/timetable"


async def show(request: Request) -> Response:
    """The timetable of a display, in the week and time zone of the query."""
    code = check_display_code(request.path_params["code"])
    principal = permitted(request, page_of(code), code)
    if isinstance(principal, Response):
        return principal
    principal.must_read(code)
    server: ServerState = request.app.state.server
    is_admin = principal.token.role is Role.ADMIN
    asked = request.query_params
    body = await server.run(lambda: _render(server, code, asked, is_admin=is_admin))
    return HTMLResponse(body, headers=_HEADERS)


_HEADERS: Final = {"link": "</static/admin.css>; rel=preload; as=style", **REFERRER}


async def change(request: Request) -> Response:
    """Add, change or remove a time slot, or choose the base playlist, as the form says."""
    code = check_display_code(request.path_params["code"])
    principal = permitted(request, page_of(code), code, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    try:
        await server.change(lambda: _change(server, code, fields))
    except SorafeedError as error:
        refused = error
        body = await server.run(
            lambda: _render(server, code, {}, is_admin=True, fields=fields, refused=refused)
        )
        return HTMLResponse(body, kind_of(error).status, headers=_HEADERS)
    return RedirectResponse(page_of(code), 303)


def _change(server: ServerState, code: str, fields: Mapping[str, str]) -> None:
    playlist_id = _playlist_of(server, code, fields.get("playlist", ""))
    commands = server.commands
    if fields.get("do") == _IMPORT:
        commands.replace_slots(playlist_id, parse_slots(fields.get("text", "")))
        return
    if fields.get("do") == "base":
        commands.choose_base(playlist_id)
        return
    slot = fields.get("slot")
    replaced = [] if slot is None else [_id(slot, "slot")]
    if fields.get("do") == "remove":
        commands.edit_slots(playlist_id, [], replaced)
        return
    draft = draft_slot(
        0,
        days=[day for day in Weekday if f"day_{day.value}" in fields],
        starts=fields.get("starts", ""),
        ends=fields.get("ends", ""),
        time_zone=fields.get("time_zone", ""),
        first_day=fields.get("first_day"),
        last_day=fields.get("last_day"),
        priority=number_in(fields.get("priority", "0"), "priority", 0, MAX_PRIORITY),
    )
    commands.edit_slots(playlist_id, [draft], replaced)


def _playlist_of(server: ServerState, code: str, given: str) -> UUID:
    """The playlist that a form names, which has to be of this display."""
    playlist_id = _id(given, "playlist")
    if playlist_id not in timetable_of(server.engine, code).playlists:
        raise InvalidInputError("playlist", f"is not of display {code}; reload the page")
    return playlist_id


def _id(given: str, field: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise InvalidInputError(field, "is no longer there; reload the page") from None


def _render(
    server: ServerState,
    code: str,
    asked: Mapping[str, str],
    *,
    is_admin: bool,
    fields: Mapping[str, str] | None = None,
    refused: SorafeedError | None = None,
) -> bytes:
    view = timetable_of(server.engine, code)
    edited = next((slot for slot in view.slots if str(slot.id) == asked.get("slot")), None)
    zone = load_zone(_zone_name(asked, [slot for slot in view.slots if slot not in view.unusable]))
    monday = calendar.monday_of(asked.get("week", ""), zone, view.now)
    week = None
    if view.decision is not None:
        spans = spans_of(view, *calendar.bounds(monday, zone))
        base_id = view.decision.base_id
        week = calendar.week_of(spans, monday, zone, view.playlists, base_id, view.now)
    guide = guide_of(server.engine, code, _GUIDE)
    entries = guide.entries[:_MOST_ENTRIES]
    posts = server.queries.posts({entry.pick.video_id for entry in entries if entry.pick})
    form = dict(_EMPTY, time_zone=zone.key) if edited is None else _form_of(edited)
    days = _WORKDAYS if edited is None else edited.draft.days
    is_import = fields is not None and fields.get("do") == _IMPORT
    if fields is not None and is_import:
        form["playlist"] = fields.get("playlist", "")
    elif fields is not None:
        form.update({name: fields.get(name, "") for name in _EMPTY})
        days = frozenset(day for day in Weekday if f"day_{day.value}" in fields)
    field = refused.field if isinstance(refused, InvalidInputError) else ""
    return render(
        "timetable.html",
        code=code,
        view=view,
        decision=view.decision,
        week=week,
        sizes=calendar,
        local=lambda at: f"{at.astimezone(zone):%a %d %b, %H:%M}",
        zone=zone.key,
        # Without one the script shows the viewer's, unless what was entered is shown again.
        has_zone=fields is not None or bool(asked.get("zone") or view.slots),
        clock=lambda at: f"{at.astimezone(zone):%H:%M:%S}",
        entries=[(entry, title_of(entry, guide, posts)) for entry in entries],
        guide=guide,
        zones=sorted(zone_names()),
        slots=[(slot, shown_slot(slot.draft), slot in view.unusable) for slot in view.slots],
        form=form,
        days=[(day, day in days) for day in Weekday],
        is_edited=bool(form["slot"]),
        is_admin=is_admin,
        has_old_system=server.has_old_system,
        most=MAX_PRIORITY,
        files=[
            (key, name, sum(slot.playlist_id == key for slot in view.slots))
            for key, name in view.playlists.items()
        ],
        is_import=is_import,
        text="" if fields is None else fields.get("text", ""),
        wrong="" if is_import else field.rpartition(".")[2],
        problem=None if refused is None else refusal(refused) if is_import else _problem(refused),
    )


def _problem(refused: SorafeedError) -> str:
    """An error in words, with the form's own names of its fields."""
    if isinstance(refused, InvalidInputError):
        field = refused.field.rpartition(".")[2].replace("_", " ")
        return sentence(f"{_TITLES.get(field, field)} {refused.problem}")
    return refusal(refused)


_TITLES: Final = {"starts": "From", "ends": "To", "slots[0]": "The time slot"}


def _zone_name(asked: Mapping[str, str], slots: list[TimeSlot]) -> str:
    """The zone that the query asks for, else that of the first slot."""
    given = asked.get("zone", "")
    if given in zone_names():
        return given
    return slots[0].draft.time_zone if slots else "UTC"


def _form_of(slot: TimeSlot) -> dict[str, str]:
    draft = slot.draft
    return {
        "playlist": str(slot.playlist_id),
        "starts": shown_time(draft.starts),
        "ends": shown_time(draft.ends),
        "time_zone": draft.time_zone,
        "first_day": "" if draft.first_day is None else draft.first_day.isoformat(),
        "last_day": "" if draft.last_day is None else draft.last_day.isoformat(),
        "priority": str(draft.priority),
        "slot": str(slot.id),
    }

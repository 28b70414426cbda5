"""The page of the rollouts: where each stands and why, its steps, and what a person can do."""

from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.rollouts.machine import ENDED, Status
from sorafeed_assets.domain.rollouts.signals import GATES
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.serving.pages.forms import fields_of, percent_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.serving.wording import refusal

_PAGE: Final = "/admin/rollouts"

_Act = Callable[[Rollouts, Mapping[str, str], str], object]


async def show(request: Request) -> Response:
    """Every rollout, the newest first."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    return await _page(server)


async def act(request: Request) -> Response:
    """Pause, resume, force or stop a rollout as the form says; an error is shown on the page."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    by = f"{principal.token.name} (admin page)"
    try:
        chosen = _ACTS.get(fields.get("act", ""))
        if chosen is None:
            raise InvalidInputError("act", f"must be one of {', '.join(_ACTS)}")
        await server.change(lambda: chosen(server.rollouts, fields, by))
    except SorafeedError as error:
        return await _page(server, problem=refusal(error), status=400)
    return RedirectResponse(_PAGE, 303)


def _why(fields: Mapping[str, str], act: str) -> str:
    return fields.get("why", "") or f"{act} on the admin page"


def _percent(fields: Mapping[str, str]) -> float:
    return percent_of(fields.get("share", ""))


_ACTS: Final[Mapping[str, _Act]] = {
    "pause": lambda r, f, by: r.pause(f.get("name", ""), by=by, why=_why(f, "paused")),
    "resume": lambda r, f, by: r.resume(f.get("name", ""), by=by),
    "force": lambda r, f, by: r.force(f.get("name", ""), _percent(f), by=by, why=_why(f, "forced")),
    "stop": lambda r, f, by: r.stop(f.get("name", ""), by=by, why=_why(f, "stopped")),
}


async def _page(server: ServerState, *, problem: str | None = None, status: int = 200) -> Response:
    values = await server.run(lambda: _read(server))
    values["has_old_system"] = server.has_old_system
    return HTMLResponse(render("rollouts.html", problem=problem, **values), status)


def _read(server: ServerState) -> dict[str, object]:
    rollouts = [server.rollouts.one(each.plan.name) for each in server.rollouts.all()]
    return {"rollouts": rollouts, "ended": ENDED, "statuses": Status, "gates": GATES}

"""The page Insights: plots of the last hour and of the last days, as SVG."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sorafeed_assets.domain.plotting import HEIGHT, WIDTH, Plot
from sorafeed_assets.services.plots import DAYS, MINUTES, day_plots, plots_of
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.figures import read_minutes

_PAGE: Final = "/admin/figures"


class _Group(NamedTuple):
    """Plots with a title, and the times of the ends of their axis; by day without times."""

    title: str
    plots: list[Plot]
    between: tuple[datetime, datetime] | None


async def show(request: Request) -> Response:
    """The plots."""
    principal = permitted(request, _PAGE)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    groups = await server.run(lambda: _read(server))
    is_admin = principal.token.role is Role.ADMIN
    body = render(
        "figures.html",
        groups=groups,
        width=WIDTH,
        height=HEIGHT,
        is_admin=is_admin,
        has_old_system=server.has_old_system,
    )
    return HTMLResponse(body)


def _read(server: ServerState) -> tuple[_Group, _Group]:
    today = datetime.now(UTC).date()
    with server.engine.connect() as connection:
        minutes = read_minutes(connection, MINUTES)
        days = day_plots(connection, today)
    between = (minutes[0].minute, minutes[-1].minute)
    return (
        _Group("The last hour, by minute", plots_of(minutes), between),
        _Group(f"The last {DAYS} days, by UTC day", days, None),
    )

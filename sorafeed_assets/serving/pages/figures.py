"""The page Insights: plots of the last hour and of the last days, as SVG."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sorafeed_assets.domain.plotting import HEIGHT, WIDTH, Plot
from sorafeed_assets.services.plots import DAYS, day_plots, hour_plots
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted
from sorafeed_assets.serving.state import ServerState

_PAGE = "/admin/figures"


async def show(request: Request) -> Response:
    """The plots."""
    principal = permitted(request, _PAGE)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    hour, days = await server.run(lambda: _read(server))
    groups = [("The last hour, by minute", hour), (f"The last {DAYS} days, by UTC day", days)]
    return HTMLResponse(render("figures.html", groups=groups, width=WIDTH, height=HEIGHT))


def _read(server: ServerState) -> tuple[list[Plot], list[Plot]]:
    with server.engine.connect() as connection:
        return hour_plots(connection), day_plots(connection, datetime.now(UTC).date())

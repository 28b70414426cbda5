"""The page of the figures: plots of the last hour by minute, as SVG, without another program."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.figures import MinuteFigures, read_minutes

MINUTES: Final = 60
WIDTH: Final = 600
HEIGHT: Final = 140
_PAGE: Final = "/admin/figures"
_STEPS: Final = (1, 2, 5)

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: its name, its last value, and its pieces as points of a polyline."""

    name: str
    last: str
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of some lines over the minutes; ``top`` is the value at its upper edge."""

    title: str
    unit: str
    top: str
    lines: tuple[Line, ...]
    first: str
    last: str


async def show(request: Request) -> Response:
    """The plots of the last hour."""
    principal = permitted(request, _PAGE)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    plots = await server.run(lambda: _read(server))
    return HTMLResponse(render("figures.html", plots=plots, width=WIDTH, height=HEIGHT))


def _read(server: ServerState) -> list[Plot]:
    with server.engine.connect() as connection:
        return plots_of(read_minutes(connection, MINUTES))


def plots_of(minutes: Sequence[MinuteFigures]) -> list[Plot]:
    """The plots of some minutes, of which there is at least one."""
    return [
        _plot("Plays per minute", "plays", minutes, {"plays": [m.plays for m in minutes]}),
        _plot(
            "From a change to the screen",
            "s",
            minutes,
            {
                "median": [m.on_screen_half for m in minutes],
                "95th percentile": [m.on_screen_most for m in minutes],
            },
        ),
        _plot("Low queues", "displays", minutes, {"low": [m.low_queues for m in minutes]}),
        _plot(
            "Waiting lineage", "records", minutes, {"waiting": [m.lineage_waiting for m in minutes]}
        ),
    ]


def _plot(title: str, unit: str, minutes: Sequence[MinuteFigures], of: dict[str, Values]) -> Plot:
    top = _round_up(max((v for values in of.values() for v in values if v is not None), default=0))
    lines = tuple(Line(name, _last(values), _pieces(values, top)) for name, values in of.items())
    return Plot(
        title,
        unit,
        f"{top:g}",
        lines,
        f"{minutes[0].minute:%H:%M}",
        f"{minutes[-1].minute:%H:%M} UTC",
    )


def _round_up(value: float) -> float:
    """The next number of 1, 2 or 5 and zeros, at least 1."""
    scale = 1.0
    while True:
        for step in _STEPS:
            if value <= step * scale:
                return step * scale
        scale *= 10


def _last(values: Values) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "no data"
    return f"{known[-1]:,}" if isinstance(known[-1], int) else f"{known[-1]:.2g}"


def _pieces(values: Values, top: float) -> tuple[str, ...]:
    """The points of each run of minutes that have a value; a single one is a short dash."""
    width = WIDTH / max(len(values) - 1, 1)
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
            continue
        y = HEIGHT - value / top * HEIGHT
        pieces[-1].append(f"{number * width:.1f},{y:.1f}")
        if len(pieces[-1]) == 1 and (number + 1 == len(values) or values[number + 1] is None):
            pieces[-1].append(f"{number * width + 2:.1f},{y:.1f}")
    return tuple(" ".join(piece) for piece in pieces if piece)

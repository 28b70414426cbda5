"""Plots of values over time as the points of lines, and as SVG; nothing draws but a browser.

Not here: what is plotted (`serving.pages.figures`, `defs.plots`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 600
HEIGHT: Final = 140
_STEPS: Final = (1, 2, 5)
# From here on a value is shown as a whole number, and below as nothing.
_WHOLE: Final = 10
_LEAST: Final = 0.001
# Distinct for colour-blind readers, on white and on black (Okabe and Ito).
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_SVG: Final = "http://www.w3.org/2000/svg"
# Readable on white and on black.
_TEXT: Final = 'font-family="sans-serif" font-size="12" fill="#808080"'
_MARGIN: Final = 22
_ROW: Final = 16

Values = Sequence[float | None]
"""A value for each moment; None where there is none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: its name, its last value, and its pieces as points of a polyline.

    ``so_far`` is the piece to a last moment that is not over, or None.
    """

    name: str
    last: str
    pieces: tuple[str, ...]
    so_far: str | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of some lines over time; ``top`` is the value at its upper edge."""

    title: str
    unit: str
    top: str
    lines: tuple[Line, ...]
    first: str
    last: str


def plot(
    title: str,
    unit: str,
    of: Mapping[str, Values],
    first: str,
    last: str,
    *,
    is_open: bool = False,
) -> Plot:
    """A plot of lines by name; ``first`` and ``last`` are the labels of its time axis.

    ``is_open``: the last moment is not over, so that its values are too small to compare.
    """
    top = _round_up(max((v for values in of.values() for v in values if v is not None), default=0))
    lines = tuple(_line(name, values, top, is_open=is_open) for name, values in of.items())
    if is_open:
        last = f"{last}, so far"
    return Plot(title, unit, f"{top:,g}" if top < 1_000_000 else f"{top:,.0f}", lines, first, last)


def as_svg(drawn: Plot) -> str:
    """The plot as an SVG image of its own, with its title, axis and a row for each line's name."""
    height = HEIGHT + 3 * _MARGIN + _ROW * len(drawn.lines)
    bottom = HEIGHT + _MARGIN
    edge = escape(f"0 to {drawn.top} {drawn.unit}")
    parts = [
        f'<svg xmlns="{_SVG}" viewBox="-8 -4 {WIDTH + 16} {height}" width="{WIDTH}" {_TEXT}>',
        f'<text y="10" font-weight="bold">{escape(drawn.title)}</text>',
        f'<g transform="translate(0 {_MARGIN})" fill="none">',
        *(
            f'<path stroke="#808080" stroke-opacity="0.4" d="M0 {y:g}H{WIDTH}"/>'
            for y in (0, HEIGHT / 2, HEIGHT)
        ),
        *(
            f'<polyline stroke="{_COLOURS[number % len(_COLOURS)]}" stroke-width="2"'
            f'{dashes} points="{piece}"/>'
            for number, line in enumerate(drawn.lines)
            for piece, dashes in _drawn_pieces(line)
        ),
        "</g>",
        f'<text y="{bottom + 15}">{escape(drawn.first)}</text>',
        f'<text x="{WIDTH / 2:g}" y="{bottom + 15}" text-anchor="middle">{edge}</text>',
        f'<text x="{WIDTH}" y="{bottom + 15}" text-anchor="end">{escape(drawn.last)}</text>',
        *(
            f'<text y="{bottom + 15 + _MARGIN + _ROW * number}"'
            f' fill="{_COLOURS[number % len(_COLOURS)]}">{escape(line.name)}:'
            f" {escape(line.last)}</text>"
            for number, line in enumerate(drawn.lines)
        ),
        "</svg>",
    ]
    return "".join(parts)


def _drawn_pieces(line: Line) -> list[tuple[str, str]]:
    """Each piece of a line, and the attribute that draws it with dashes."""
    so_far = [] if line.so_far is None else [(line.so_far, ' stroke-dasharray="4 4"')]
    return [*((piece, "") for piece in line.pieces), *so_far]


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
    last = known[-1]
    if isinstance(last, int) or last >= _WHOLE:
        return f"{last:,.0f}"
    return f"{last:.2g}" if last >= _LEAST else "0"


def _line(name: str, values: Values, top: float, *, is_open: bool) -> Line:
    before, last = values[:-1], values[-2:]
    if not is_open or None in last or len(last) < 2:
        return Line(name, _last(values), _pieces(values, top))
    # With the moments before the last two left out, to have them at their places.
    gap: list[float | None] = [None] * (len(values) - 2)
    (so_far,) = _pieces([*gap, *last], top)
    return Line(name, _last(values), _pieces([*before, None], top), so_far)


def _pieces(values: Values, top: float) -> tuple[str, ...]:
    """The points of each run of moments that have a value; a single one is a short dash."""
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

"""The results for people and programs: a Markdown table, and a plot of cost against size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sorafeed_assets.bench.measuring import Row
from sorafeed_assets.extras import require

# Lines differ by markers too, so that they are distinct without colour.
_MARKERS: Final = "osD^vPX*"

Series = Mapping[str, Sequence[tuple[int, float]]]


def markdown(rows: Sequence[Row]) -> str:
    """The table, a line for each row."""
    lines = [
        "| work | ours | baseline | ratio | target | met | runs | spread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {_figure(row.ours)} {row.unit}"
        f" | {'–' if row.baseline is None else f'{_figure(row.baseline)} {row.unit}'}"
        f" | {'–' if row.ratio is None else f'{_figure(row.ratio)} ×'}"
        f" | {row.target} | {'yes' if row.met else 'no'} | {row.runs} | {row.spread:.0%} |"
        for row in rows
    ]
    return "\n".join(lines)


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Plot:
    """The ``unit`` of each kind of work against a size, which the x axis names."""

    title: str
    series: Series
    axis: str = "posts"
    unit: str = "seconds"


def draw(file: Path, plot: Plot) -> None:
    """Write a plot as a PNG with logarithmic axes.

    Raises:
        SetupError: the extra [bench] is not installed.
    """
    require("bench")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, points) in enumerate(plot.series.items()):
        sizes, costs = zip(*sorted(points), strict=True)
        marker = _MARKERS[number % len(_MARKERS)]
        style = "--" if name.startswith("current way") else "-"
        axes.plot(sizes, costs, marker=marker, linestyle=style, label=name)
    axes.set(title=plot.title, xscale="log", yscale="log", xlabel=plot.axis, ylabel=plot.unit)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize="small")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)

"""The benchmarks by name, the sizes at which they run, and their rows and plots."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from sorafeed_assets.bench import report
from sorafeed_assets.bench.api import api_rows, measure_api
from sorafeed_assets.bench.catalogue import Bench, Scale, open_bench
from sorafeed_assets.bench.counts import counts_rows, measure_counts, measure_more_terms
from sorafeed_assets.bench.fleet import fleet_rows, measure_fleet
from sorafeed_assets.bench.ingest import ingest_rows, measure_ingest
from sorafeed_assets.bench.lineage import lineage_rows, measure_lineage
from sorafeed_assets.bench.measuring import Progress, Row
from sorafeed_assets.bench.names import Benchmark
from sorafeed_assets.bench.react import measure_react, react_rows
from sorafeed_assets.bench.react_sizes import measure_sizes, sizes_plots, sizes_rows
from sorafeed_assets.bench.rolling import measure_rollback, rollback_rows
from sorafeed_assets.bench.switching import measure_switches, switch_rows
from sorafeed_assets.bench.timelines import (
    measure_played,
    measure_timelines,
    played_rows,
    timelines_rows,
)
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.extras import require
from sorafeed_assets.settings import Settings

_SMALLER = (100, 10, 1)
_LEAST_POSTS = 2_600


@dataclass(slots=True)
class Results:
    """Rows of the table, and the plots by the name of their file."""

    rows: list[Row] = field(default_factory=list)
    plots: dict[str, report.Plot] = field(default_factory=dict)


def run(
    which: Benchmark, folder: Path, settings: Settings, scale: Scale, progress: Progress
) -> Results:
    """Measure; plots and servers are kept in ``folder``, which no other process may use.

    Raises:
        InvalidInputError: too few posts for a meaningful result.
        SetupError: the extra [bench] is not installed.
        WrongResultError: ours and the current way disagree.
    """
    require("bench")
    if scale.posts < _LEAST_POSTS:
        raise InvalidInputError("posts", f"is {scale.posts}; at least {_LEAST_POSTS:,} are needed")
    results = Results()
    with open_bench(folder, settings, scale, progress) as bench:
        for one, measure in _MEASURES.items():
            if which is one or (which is Benchmark.ALL and one not in _WITH_PROCESSES):
                progress(f"Benchmark {one}", 0, 1)
                measure(bench, results)
                progress(f"Benchmark {one}", 1, 1)
    for name, plot in results.plots.items():
        report.draw(folder / f"{name}.png", plot)
    return results


def _sizes(scale: Scale) -> list[int]:
    """The size of the catalogue and smaller sizes that still give meaningful results."""
    return [scale.posts // n for n in _SMALLER if scale.posts // n >= _LEAST_POSTS // 10]


def _counts(bench: Bench, results: Results) -> None:
    costs = [measure_counts(bench, posts) for posts in _sizes(bench.scale)]
    more_terms = measure_more_terms(bench, bench.scale.posts)
    results.rows += counts_rows(costs[-1], costs[-2], more_terms)
    series = {
        "current way: all counts": [(c.posts, c.current_total) for c in costs],
        "full recount": [(c.posts, median(c.recount)) for c in costs],
        "only streaming the text": [(c.posts, median(c.stream)) for c in costs],
        f"hourly refresh, {bench.scale.new_posts:,} new posts": [
            (c.posts, median(c.hourly)) for c in costs
        ],
    }
    title = f"Counts of {bench.scale.terms} terms in 3 formats"
    results.plots["counts"] = report.Plot(title, series)


def _timelines(bench: Bench, results: Results) -> None:
    costs = [measure_timelines(bench, posts) for posts in _sizes(bench.scale)]
    results.rows += timelines_rows(costs[-1])
    results.rows += played_rows(measure_played(bench, bench.scale.posts))
    series = {
        "current way: new terms": [(c.posts, median(c.cold_current)) for c in costs],
        "current way: known terms": [(c.posts, median(c.warm_current)) for c in costs],
        "new terms": [(c.posts, median(c.cold)) for c in costs],
        "pools warm": [(c.posts, median(c.warm)) for c in costs],
    }
    results.plots["timelines"] = report.Plot("Timelines of 12 blocks and 52 videos", series)


def _fleet(bench: Bench, results: Results) -> None:
    costs = measure_fleet(bench, bench.scale.posts)
    results.rows += fleet_rows(costs)


def _lineage(bench: Bench, results: Results) -> None:
    results.rows += lineage_rows(measure_lineage(bench, bench.scale.posts))


def _ingest(bench: Bench, results: Results) -> None:
    results.rows += ingest_rows(measure_ingest(bench, bench.scale.posts))


def _api(bench: Bench, results: Results) -> None:
    folder = bench.folder / "api"
    results.rows += api_rows(measure_api(bench, bench.scale.posts, folder))


def _react(bench: Bench, results: Results) -> None:
    folder = bench.folder / "react"
    results.rows += react_rows(measure_react(bench, bench.scale.posts, folder))
    results.rows += switch_rows(measure_switches(bench, bench.scale.posts, folder))
    sizes = measure_sizes(bench, bench.scale.posts, folder)
    results.rows += sizes_rows(sizes)
    results.plots |= sizes_plots(sizes)


def _rollback(bench: Bench, results: Results) -> None:
    folder = bench.folder / "rollback"
    results.rows += rollback_rows(measure_rollback(bench, bench.scale.posts, folder))


_WITH_PROCESSES: Final = (Benchmark.API, Benchmark.REACT, Benchmark.ROLLBACK)
_MEASURES: Mapping[Benchmark, Callable[[Bench, Results], None]] = {
    Benchmark.COUNTS: _counts,
    Benchmark.TIMELINES: _timelines,
    Benchmark.FLEET: _fleet,
    Benchmark.INGEST: _ingest,
    Benchmark.LINEAGE: _lineage,
    Benchmark.API: _api,
    Benchmark.REACT: _react,
    Benchmark.ROLLBACK: _rollback,
}

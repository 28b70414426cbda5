"""A small run of all benchmarks: both sides agree, and every row and plot is produced."""

import json
from pathlib import Path

import pytest

from sorafeed_assets.bench import counts, current_way, report
from sorafeed_assets.bench.catalogue import Scale, add_posts, open_bench, rewind
from sorafeed_assets.bench.measuring import WrongResultError
from sorafeed_assets.bench.names import Benchmark
from sorafeed_assets.bench.run import run
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.counts.reads import (
    count_posts,
    counted_days,
    counts_versions,
    pending_changes,
    term_totals,
)
from sorafeed_assets.settings import Settings

SCALE = Scale(posts=20_000, terms=24, displays=12, rounds=2, new_posts=200, effort=0.02)


def silent(_step: str, _done: int, _total: int) -> None:
    """No progress bar."""


def test_a_small_run_of_everything(tmp_path: Path) -> None:
    results = run(Benchmark.ALL, tmp_path, Settings(), SCALE, silent)
    names = [row.name for row in results.rows]
    assert len(names) == len(set(names)) == 20
    for word in (
        "hourly",
        "full recount",
        "cold",
        "warm",
        "plays each",
        "one edited playlist among 12",
        "rebuilt",
        "cached",
        "by hand, 3 assets",
    ):
        assert any(word in name for name in names), word
    table = report.markdown(results.rows)
    assert table.count("\n") == len(names) + 1
    assert (tmp_path / "counts.png").stat().st_size > 1_000
    assert (tmp_path / "timelines.png").stat().st_size > 1_000
    printed = json.loads(json.dumps([row.as_json() for row in results.rows]))
    assert set(printed[0]) == {
        *("name", "unit", "ours", "baseline", "ratio", "target", "met", "runs", "spread")
    }
    assert [row["name"] for row in printed] == names


def test_a_small_run_of_reactions(tmp_path: Path) -> None:
    results = run(Benchmark.REACT, tmp_path, Settings(), SCALE, silent)
    names = [row.name for row in results.rows]
    assert len(names) == len(set(names)) == 18
    assert all(row.ours > 0 for row in results.rows)
    assert sum(row.baseline is not None for row in results.rows) == 5
    for name in ("react-displays", "react-plays"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1_000


def test_a_small_run_of_rollbacks(tmp_path: Path) -> None:
    scale = Scale(posts=2_600, terms=12, displays=12, rounds=1)
    results = run(Benchmark.ROLLBACK, tmp_path, Settings(), scale, silent)
    decided, replanned = results.rows
    assert decided.name.endswith("of 13 displays are rolled back: a bad evaluation to its decision")
    assert 0 < decided.ours <= replanned.ours


def test_a_catalogue_is_used_again_as_it_was_built(tmp_path: Path) -> None:
    scale = Scale(posts=2_600, terms=12, seed=3)
    with open_bench(tmp_path, Settings(), scale, silent) as bench:
        engine = bench.catalogue(2_600)
        before = term_totals(engine), counts_versions(engine, counted_days(engine))
        add_posts(engine, 500, 1)
        counts.refresh_hour(engine, bench.redis, bench.settings)
        after = term_totals(engine), counts_versions(engine, counted_days(engine))
        assert all(one != other for one, other in zip(before, after, strict=True))
        add_posts(engine, 50, 2)  # and then the run is interrupted
    with open_bench(tmp_path, Settings(), scale, silent) as bench:
        engine = bench.catalogue(2_600)
        assert count_posts(engine) == 2_600
        assert pending_changes(engine).inserts == 0
        for _ in range(2):
            assert (term_totals(engine), counts_versions(engine, counted_days(engine))) == before
            rewind(engine)


def test_wrong_counts_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_way, "count", lambda *_: -1)
    scale = Scale(posts=2_600, terms=12, rounds=1)
    with (
        open_bench(tmp_path, Settings(), scale, silent) as bench,
        pytest.raises(WrongResultError, match="counts differ"),
    ):
        counts.measure_counts(bench, 2_600)


def test_too_few_posts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="2,600"):
        run(Benchmark.COUNTS, tmp_path, Settings(), Scale(posts=10), silent)

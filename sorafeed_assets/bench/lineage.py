"""What a rebuild of many displays costs with everything recorded in Dagster.

Measured as a user asks for it: a run of `rebuild_displays` over all partitions, on an instance in
PostgreSQL; and as `sorafeed react` does it, which settles and records without a run. The baseline
records as many materializations one by one, as a run's own log does.
"""

import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg

from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import clear_displays, make_displays, new_playlists, playlist_of
from sorafeed_assets.bench.measuring import Row, Target, WrongResultError, row, seconds
from sorafeed_assets.defs.common import run_over_displays
from sorafeed_assets.defs.lineage.compare import read_lineage
from sorafeed_assets.defs.lineage.mend import mend
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import follow_displays, record_waiting, recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines.automation import ASSETS, JOB_NAME
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.settings import Settings

# What each display's event carries: its data version and what it was made from.
_TAGS: Final = {
    "dagster/data_version_is_user_provided": "true",
    "dagster/code_version": "1",
    "dagster/input_data_version/active_playlists": "0" * 32,
    "dagster/input_data_version/video_candidates": "0" * 32,
}
_ROUNDS: Final = 2
# More displays are rebuilt once only, and fewer of them recorded one by one.
_MANY: Final = 2_000
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class LineageCosts:
    """Seconds for all displays: as runs of the assets, by the engine alone, one by one.

    ``settled`` is the engine and the recorder, without a run; ``by_config`` may be empty.
    """

    displays: int
    by_hand: Sequence[float]
    by_config: Sequence[float]
    engine: Sequence[float]
    settled: Sequence[float]
    one_by_one: Sequence[float]


@dg.op(config_schema={"displays": int}, out=dg.Out(dg.Nothing))
def record_displays(context: dg.OpExecutionContext) -> None:
    """Log a materialization of each of three assets per display."""
    for number in range(context.op_config["displays"]):
        for asset in ASSETS:
            context.log_event(
                dg.AssetMaterialization(
                    f"one_by_one_{asset}",
                    partition=f"D{number:05}",
                    metadata={"planned": 52, "queued": 5, "loop": 0, "position": 0},
                    tags={"dagster/data_version": f"{number:032x}", **_TAGS},
                )
            )


@dg.job
def record_one_by_one() -> None:
    """Record only."""
    record_displays()


def measure_lineage(bench: Bench, posts: int) -> LineageCosts:
    """Rebuild all displays with other playlists, by each way in turn."""
    engine = bench.catalogue(posts)
    displays = make_displays(engine, bench.scale.displays)
    terms = bench_terms(bench.scale.terms, bench.scale.seed)
    settings = Settings.model_validate(
        {
            **bench.settings.model_dump(),
            "database_url": engine.url.render_as_string(hide_password=False),
            "dagster_url": bench.empty_dagster(),
            "redis_url": bench.redis_url,
        }
    )
    connections = Connections(settings)
    rounds = 2 * bench.scale.times(_ROUNDS) if len(displays) <= _MANY else 1
    by_hand, by_config, alone, settled = [], [], [], []
    with _instance(settings) as instance:
        definitions = build_definitions(settings, connections)
        assets = recorded_assets(definitions.resolve_asset_graph())
        follow_displays(connections, instance)
        for number in range(rounds):
            rng = random.Random(number)  # noqa: S311  # playlists, not secrets
            new_playlists(engine, {display: playlist_of(terms, rng) for display in displays})
            partitions = instance.get_dynamic_partitions("displays")
            request = run_over_displays(JOB_NAME, ASSETS, displays, partitions)
            if number % 2:
                by_config.append(_run(definitions, instance, request, request.run_config))
            else:
                by_hand.append(_run(definitions, instance, request, {}))
            rng = random.Random(-1 - number)  # noqa: S311  # playlists, not secrets
            new_playlists(engine, {display: playlist_of(terms, rng) for display in displays})
            alone.append(seconds(lambda: connections.settler.settle(displays)))
            recording = seconds(lambda: record_waiting(connections, instance, assets))
            settled.append(alone[-1] + recording)
            bench.progress("Recording rebuilds", number + 1, rounds)
        mend(connections, instance, assets)
        record_waiting(connections, instance, assets)
        lineage = read_lineage(connections, instance, assets)
        if lineage.differ or lineage.waiting:
            raise WrongResultError(f"recorded versions differ from stored ones: {lineage}")
        # Only once, because it takes longer than all the others together.
        few = min(len(displays), _MANY)
        one_by_one = [seconds(lambda: _one_by_one(instance, few)) * len(displays) / few]
    connections.close()
    clear_displays(engine)
    return LineageCosts(len(displays), by_hand, by_config, alone, settled, one_by_one)


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with tempfile.TemporaryDirectory() as folder:
        home = settings.model_copy(update={"data_dir": Path(folder)})
        with open_instance(home) as instance:
            yield instance


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    request: dg.RunRequest,
    config: Mapping[str, object],
) -> float:
    def work() -> None:
        result = definitions.resolve_job_def(JOB_NAME).execute_in_process(
            instance=instance, tags=dict(request.tags), run_config={**config, **_QUIET}
        )
        if not result.success:
            raise WrongResultError(f"the run failed: {result.get_failed_step_keys()}")

    return seconds(work)


def _one_by_one(instance: dg.DagsterInstance, displays: int) -> None:
    config = {"ops": {"record_displays": {"config": {"displays": displays}}}, **_QUIET}
    record_one_by_one.execute_in_process(run_config=config, instance=instance)


def lineage_rows(costs: LineageCosts) -> list[Row]:
    """The lines of the table about a rebuild as a run of the assets."""
    count = f"{costs.displays:,} displays"
    engine = sorted(costs.engine)[len(costs.engine) // 2]
    beyond = [max(0.0, taken - engine) for taken in costs.by_hand]
    as_a_sensor = (
        [row(f"{count}: as a sensor asks for it", "s", costs.by_config, Target(), costs.one_by_one)]
        if costs.by_config
        else []
    )
    return [
        row(
            f"{count} materialized by hand, 3 assets, everything recorded and checked",
            "s",
            costs.by_hand,
            Target(),
            costs.one_by_one,
        ),
        row(f"{count}: the same beyond the engine's own {engine:.1f} s", "s", beyond,
            Target(ours_under=15.0 * costs.displays / 1000)),
        *as_a_sensor,
        row(f"{count} settled as react does it, everything recorded", "s", costs.settled,
            Target(ours_under=10.0 * costs.displays / 1000), costs.one_by_one),
    ]  # fmt: skip

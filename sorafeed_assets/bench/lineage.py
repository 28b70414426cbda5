"""How long Dagster takes to record one materialization for each of many displays in one run."""

import tempfile
from pathlib import Path
from typing import Final

import dagster as dg
import yaml

from sorafeed_assets.bench.measuring import Row, Target, row, seconds

# What each display's event carries: its data version and what it was made from.
_TAGS: Final = {
    "dagster/data_version_is_user_provided": "true",
    "dagster/code_version": "1",
    "dagster/input_data_version/active_playlists": "0" * 32,
    "dagster/input_data_version/video_candidates": "0" * 32,
}


@dg.op(config_schema={"displays": int}, out=dg.Out(dg.Nothing))
def record_displays(context: dg.OpExecutionContext) -> None:
    """Log one materialization per display."""
    for number in range(context.op_config["displays"]):
        context.log_event(
            dg.AssetMaterialization(
                "display_timelines",
                partition=f"D{number:05}",
                metadata={"planned": 52, "queued": 5, "loop": 0, "position": 0},
                tags={"dagster/data_version": f"{number:032x}", **_TAGS},
            )
        )


@dg.job
def record_wall() -> None:
    """Nothing but recording."""
    record_displays()


def measure_lineage(dagster_url: str, displays: int, rounds: int) -> list[float]:
    """Seconds per run of a materialization per display, on an instance stored in Postgres."""
    config = {
        "storage": {"postgres": {"postgres_url": dagster_url}},
        "telemetry": {"enabled": False},
    }
    with tempfile.TemporaryDirectory() as home:
        Path(home, "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(home) as instance:
            return [seconds(lambda: _record(instance, displays)) for _ in range(rounds)]


def _record(instance: dg.DagsterInstance, displays: int) -> None:
    config = {
        "ops": {"record_displays": {"config": {"displays": displays}}},
        "loggers": {"console": {"config": {"log_level": "ERROR"}}},
    }
    record_wall.execute_in_process(run_config=config, instance=instance)


def lineage_rows(taken: list[float], displays: int) -> list[Row]:
    """The line of the table about lineage, which the other lines leave out."""
    return [row(f"Dagster records {displays:,} materializations", "s", taken, Target())]

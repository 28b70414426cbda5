"""Every asset loads as a DataFrame, and an unknown display fails a run before it writes."""

from uuid import UUID

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import Engine, inspect, text

from sorafeed_assets.defs.common import ASKED_BY_TAG, run_over_displays
from sorafeed_assets.defs.timelines.automation import ASSETS
from sorafeed_assets.domain.errors import DisplayNotFoundError, InvalidInputError
from sorafeed_assets.services.timelines.frames import Plan
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import START, add_display


@pytest.fixture(autouse=True)
def partitions(wall: Dagster) -> None:
    """Partitions of the displays, and of one that does not exist."""
    wall.instance.add_dynamic_partitions("displays", ["AAAAA1", "BBBBB2", "NOBODY"])
    wall.instance.add_dynamic_partitions("rollouts", ["none"])


def _load(dagster: Dagster, asset: str, **how: object) -> pd.DataFrame:
    found = dagster.definitions.load_asset_value(asset, instance=dagster.instance, **how)  # type: ignore[arg-type]  # passed on
    assert isinstance(found, pd.DataFrame)
    return found


def test_every_asset_loads(wall: Dagster) -> None:
    keys = {"displays": "AAAAA1", None: START.date().isoformat()}
    empty = set()
    for spec in wall.definitions.resolve_all_asset_specs():
        partitions, name = spec.partitions_def, spec.key.to_user_string()
        if isinstance(partitions, dg.DynamicPartitionsDefinition) and partitions.name == "rollouts":
            frame = _load(wall, name, partition_key="none")
        elif partitions is None:
            frame = _load(wall, name)
        else:
            frame = _load(wall, name, partition_key=keys[getattr(partitions, "name", None)])
        if frame.empty:
            empty.add(name)
    assert empty == {"rollouts"}


def test_the_caches_load_as_they_are_in_redis(wall: Dagster) -> None:
    counts = _load(wall, "count_cache").set_index(["search_term", "format"])["total_count"]
    view = _load(wall, "video_counts_by_search").set_index(["search_term", "format"])
    assert counts.to_dict() == view["total_count"].to_dict()
    assert counts["video", "mixed"] == 20
    queue = _load(wall, "display_timelines", partition_key="BBBBB2")
    cached = _load(wall, "timeline_cache", partition_key="BBBBB2")
    assert list(cached["video_id"]) == list(queue["video_id"])
    assert set(cached["display_id"]) == {"BBBBB2"}
    assert _load(wall, "timeline_cache", partition_key="NOBODY").empty
    overview = _load(wall, "admin_snapshot")
    assert list(overview["id"]) == ["AAAAA1", "BBBBB2"]
    assert overview.attrs["totals"]["posts"] == 20


def test_the_plan_loads_with_its_reasons(engine: Engine, wall: Dagster) -> None:
    plan = _load(wall, "display_timelines", partition_key="AAAAA1", python_type=Plan)
    queue = _load(wall, "display_timelines", partition_key="AAAAA1")
    assert list(plan["video_id"][: len(queue)]) == list(queue["video_id"])
    first = plan[plan["loop"] == 0]
    assert list(first["position"]) == list(range(7))
    assert list(first["search_term"]) == ["cat video"] * 4 + ["video"] * 3
    assert set(first["reason"]) == {"new"}
    assert plan["text"].str.contains("video").all()
    with engine.begin() as connection:
        gone = plan["video_id"][0]
        connection.execute(text("DELETE FROM sora_posts WHERE id = :id"), {"id": gone})
    again = _load(wall, "display_timelines", partition_key="AAAAA1", python_type=Plan)
    assert again["text"].isna().sum() == (again["video_id"] == gone).sum() > 0


def test_what_cannot_be_loaded_is_refused(wall: Dagster) -> None:
    with pytest.raises(InvalidInputError, match="search_terms has no plan"):
        _load(wall, "search_terms", python_type=Plan)
    with pytest.raises(DisplayNotFoundError):
        _load(wall, "display_timelines", partition_key="NOBODY", python_type=Plan)


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    events = [event for event in result.all_events if event.is_step_failure]
    shown = []
    for event in events:
        data = event.step_failure_data
        assert data.error is not None
        assert data.error.cause is None
        assert data.user_failure_data is not None
        shown.append(str(data.user_failure_data.description))
    return shown


def test_an_unknown_display_fails_the_run_and_says_so_once(engine: Engine, wall: Dagster) -> None:
    before = _builds(engine)
    result = wall.rebuild("AAAAA1", "NOBODY", by_hand=True)
    assert not result.success
    (said,) = _failures(result)
    assert said == (
        "displays: NOBODY: no such display; check the code, or create it with"
        " `sorafeed displays add`"
    )
    assert _builds(engine) == before
    assert wall.recorded("display_timelines") == []


def test_a_display_outside_of_the_run_fails_it(wall: Dagster) -> None:
    request = run_over_displays("rebuild_displays", ASSETS, ["AAAAA1"], ["AAAAA1", "BBBBB2"])
    config = {"ops": {asset: {"config": {"displays": ["BBBBB2"]}} for asset in ASSETS}}
    result = wall.run("rebuild_displays", tags=request.tags, config=config)
    assert _failures(result) == [
        "displays: BBBBB2: not among the partitions of the run; choose them there too"
    ]
    without = wall.run("rebuild_displays", config=config)
    assert _failures(without) == [
        "displays: the run has no partitions; choose some in the launchpad"
    ]


def test_a_run_of_a_sensor_may_be_about_a_deleted_display(engine: Engine, wall: Dagster) -> None:
    add_display(engine, "CCCCC3")
    wall.instance.add_dynamic_partitions("displays", ["CCCCC3"])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM displays WHERE id = 'CCCCC3'"))
    request = run_over_displays("rebuild_displays", ASSETS, ["CCCCC3"], ["CCCCC3"])
    tags = {**request.tags, ASKED_BY_TAG: "unsettled"}
    assert wall.run("rebuild_displays", tags=tags, config=request.run_config).success


def _builds(engine: Engine) -> list[tuple[str, UUID | None]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, active_build_id FROM displays ORDER BY id")
        ).all()
    return [(row.id, row.active_build_id) for row in rows]


def test_columns_are_as_the_database_has_them(wall: Dagster, session_engine: Engine) -> None:
    database = inspect(session_engine)
    compared = 0
    for spec in wall.definitions.resolve_all_asset_specs():
        place, _, table = str(spec.metadata["dagster/table_name"]).rpartition(".")
        if place != "sorafeed.public" or table == "video_counts_by_search":
            continue
        schema = spec.metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        unique = {
            columns[0]
            for columns in (
                database.get_pk_constraint(table)["constrained_columns"],
                *(found["column_names"] for found in database.get_unique_constraints(table)),
            )
            if len(columns) == 1
        }
        nullable = {column["name"]: column["nullable"] for column in database.get_columns(table)}
        assert {column.name: column.constraints.nullable for column in schema.columns} == nullable
        assert {column.name for column in schema.columns if column.constraints.unique} <= unique
        compared += 1
    assert compared > 6

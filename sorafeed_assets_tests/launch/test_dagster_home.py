"""Dagster's home: its variables, and what a killed `up` leaves in its storage."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.dagster_home import environment, prepare_home
from sorafeed_assets.launch.dagster_instance import end_interrupted_runs
from sorafeed_assets.settings import load_settings

_BEFORE_ALL = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_interrupted_runs_hold_up_nobody(status: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for each in (status, "NOT_STARTED", "SUCCESS"):
            instance.add_run(
                dg.DagsterRun(job_name="rebuild_displays", status=dg.DagsterRunStatus(each))
            )
        assert end_interrupted_runs(instance, _BEFORE_ALL) == 0
        assert end_interrupted_runs(instance, datetime.now(UTC)) == 1
        assert sorted(run.status.value for run in instance.get_runs()) == [
            "FAILURE", "NOT_STARTED", "SUCCESS",
        ]  # fmt: skip
        assert end_interrupted_runs(instance, datetime.now(UTC)) == 0


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_dagster_is_given_an_address_for_its_own_driver(scheme: str) -> None:
    settings = load_settings(dagster_url=f"{scheme}://user@host:5432/dagster")
    given = environment(settings)["SORAFEED_DAGSTER_URL"]
    assert given == "postgresql+psycopg2://user@host:5432/dagster"


@pytest.mark.parametrize(
    ("redis", "celery"),
    [
        ("redis://host:6379/0", "redis://host:6379/1"),
        ("redis://host:6379", "redis://host:6379/1"),
        ("rediss://user:secret@host:6380/3", "rediss://user:secret@host:6380/4"),
    ],
)
def test_celery_has_the_next_database_of_the_same_redis(redis: str, celery: str) -> None:
    assert environment(load_settings(redis_url=redis))["SORAFEED_CELERY_URL"] == celery


def test_celery_may_have_a_redis_of_its_own() -> None:
    settings = load_settings(redis_url="redis://host:6379/0", celery_url="redis://other:6379/0")
    assert environment(settings)["SORAFEED_CELERY_URL"] == "redis://other:6379/0"


def test_an_instance_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    given = tmp_path / "mine.yaml"
    given.write_text("telemetry:\n  enabled: false\n")
    home = prepare_home(load_settings(data_dir=tmp_path / "data", dagster_yaml=given))
    assert (home / "dagster.yaml").read_text() == given.read_text()
    given.unlink()
    with pytest.raises(SetupError, match=r"SORAFEED_DAGSTER_YAML: .*mine\.yaml: No such file"):
        prepare_home(load_settings(data_dir=tmp_path / "data", dagster_yaml=given))


def test_programs_that_share_a_volume_and_a_process_id_start_together(tmp_path: Path) -> None:
    # As in containers, where the first program has the same id in each; here, threads have.
    settings = load_settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as threads:
        homes = set(threads.map(prepare_home, [settings] * 200))
    assert homes == {tmp_path.resolve() / "dagster"}
    (home,) = homes
    assert {path.name for path in home.iterdir()} == {"dagster.yaml", "workspace.yaml"}


def test_a_data_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(data_dir=tmp_path / "file")
    with pytest.raises(SetupError, match=r"file/dagster cannot be written to .*SORAFEED_DATA_DIR"):
        prepare_home(settings)

"""The figures of `/metrics`: of what is stored, and of Dagster's runs; and without the servers."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.services.timelines.queues import QueueClass
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.services.watching import read_figures
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage import watching
from sorafeed_assets.storage.lineage_records import (
    REACT_LEASE,
    Change,
    end_lease,
    renew_lease,
    write_changes,
)
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.metrics import Sample, samples_of
from sorafeed_assets_tests.services.rollouts.rolling import PLAN
from sorafeed_assets_tests.serving.client import (
    Api,
    make_display,
    newest,
    readiness,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts


def _samples(api: Api) -> dict[Sample, float]:
    response = api.http.get("/metrics")
    assert response.status_code == 200
    return samples_of(response.text)


def _waiting(api: Api, table: str) -> tuple[float, float]:
    samples = _samples(api)
    label = (("table", table),)
    return samples["sorafeed_waiting_rows", label], samples["sorafeed_waiting_seconds", label]


def test_each_outbox_is_counted_with_the_age_of_its_oldest_row(reader: Api, engine: Engine) -> None:
    # The start of the server has recorded the caches that it wrote.
    run(engine, "UPDATE lineage_records SET recorded_at = now()")
    for table in ("catalog_changes", "display_changes", "lineage_records", "search_terms"):
        assert _waiting(reader, table) == (0, 0)
    add_posts(engine, "cat", 3)
    run(engine, "UPDATE catalog_changes SET changed_at = now() - interval '1 hour'"
                " WHERE id = (SELECT min(id) FROM catalog_changes)")  # fmt: skip
    add_display(engine, "AAAAAA")
    with engine.begin() as connection:
        write_changes(connection, [Change("playlists", "AAAAAA", "1")])
    run(engine, "INSERT INTO search_terms (term, phrase, created_at)"
                " VALUES ('dog', 'dog', now() - interval '1 day')")  # fmt: skip
    rows, seconds = _waiting(reader, "catalog_changes")
    assert rows == 3
    assert 3600 <= seconds < 7200
    for table in ("display_changes", "lineage_records"):
        rows, seconds = _waiting(reader, table)
        assert rows == 1
        assert 0 <= seconds < 3600
    rows, seconds = _waiting(reader, "search_terms")
    assert rows == 1
    assert seconds >= 86_400


def test_a_large_backlog_is_counted_to_a_bound(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_ROWS", 5)
    add_posts(engine, "cat", 9)
    figures = read_figures(engine, 5, 7).stored
    assert figures.waiting["catalog_changes"].rows == 5


def test_count_jobs_that_wait_are_told_from_those_given_up(reader: Api, engine: Engine) -> None:
    run(engine, "INSERT INTO search_terms (term, phrase) VALUES ('cat', 'cat'), ('dog', 'dog')")
    run(engine, "INSERT INTO count_jobs (term, attempts, run_after, problem)"
                " VALUES ('cat', 3, now() - interval '1 minute', 'wrong'),"
                " ('dog', 1, now() + interval '1 hour', 'wrong once')")  # fmt: skip
    assert _waiting(reader, "count_jobs")[0] == 1
    assert _samples(reader)["sorafeed_counts_given_up", ()] == 1


def test_queues_and_plans_are_counted(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    make_display(admin, "AAAAAA", newest("cat", 5))
    make_display(admin, "BBBBBB", newest("nothing of it", 5))
    add_display(engine, "CCCCCC")
    add_display(engine, "DDDDDD")
    add_playlist(engine, "CCCCCC", [("cat", 3)])
    run(engine, "UPDATE displays SET plan_problem = 'wrong' WHERE id = 'CCCCCC'")
    run(engine, "UPDATE playlists SET is_active = true WHERE display_id = 'CCCCCC'")
    samples = _samples(admin)
    queues = {name: samples["sorafeed_displays", (("queue", name),)]
              for name in QueueClass}  # fmt: skip
    assert queues == {"complete": 1, "low": 1, "dry": 1, "no_playlist": 1, "old_system": 0}
    assert samples["sorafeed_plan_problems", ()] == 1


def test_react_leads_while_its_lease_runs(reader: Api, engine: Engine) -> None:
    assert _samples(reader)["sorafeed_react_leads", ()] == 0
    with engine.begin() as connection:
        renew_lease(connection, REACT_LEASE, "host:1", timedelta(hours=1))
    assert _samples(reader)["sorafeed_react_leads", ()] == 1
    with engine.begin() as connection:
        end_lease(connection, REACT_LEASE, "host:1")
        renew_lease(connection, REACT_LEASE, "host:1", timedelta(0))
        renew_lease(connection, "another", "host:1", timedelta(hours=1))
    assert _samples(reader)["sorafeed_react_leads", ()] == 0


def test_rollouts_that_were_rolled_back_or_not_evaluated_are_told(
    reader: Api, engine: Engine
) -> None:
    names = ("sorafeed_rollouts_rolled_back", "sorafeed_rollout_unevaluated_seconds")

    def told() -> list[float]:
        samples = _samples(reader)
        return [samples[name, ()] for name in names]

    assert told() == [0, 0]
    Rollouts(engine, Flags(engine), lambda _displays: None).start(PLAN, by="test")
    assert 0 <= told()[1] < 3_600
    run(engine, "UPDATE rollouts SET since = since - interval '2 hours',"
                " evaluated_at = now() - interval '1 hour'")  # fmt: skip
    assert 3_600 <= told()[1] < 7_200
    # Nobody has to evaluate one that a person has forced.
    run(engine, "UPDATE rollouts SET status = 'forced'")
    assert told() == [0, 0]
    run(engine, "UPDATE rollouts SET status = 'rolled_back'")
    assert told() == [1, 0]
    run(engine, "UPDATE rollouts SET since = now() - interval '25 hours'")
    assert told() == [0, 0]


def test_only_counts_that_are_kept_are_timed(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 3)
    ask = "query ($search: String!) { count(search: $search) { total } }"
    timed = ("sorafeed_known_count_seconds_count", ())
    assert admin.ask(ask, search="cat")["count"]["total"] == 3
    assert _samples(admin)[timed] == 0
    admin.ask('mutation { watchTerm(search: "cat") { term } }')
    wait_until(lambda: admin.ask(ask, search="cat") and _samples(admin)[timed] == 1)


@pytest.fixture
def with_dagster(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[Settings]:
    with dagster_database(settings, postgres) as found:
        yield found


def _fail(instance: dg.DagsterInstance) -> None:
    @dg.op
    def fails() -> None:
        raise dg.Failure("wrong")

    @dg.job
    def failing() -> None:
        fails()

    failing.execute_in_process(instance=instance, raise_on_error=False)


def test_failed_runs_of_the_last_hour_are_counted(with_dagster: Settings, engine: Engine) -> None:
    with serving(with_dagster, Listening(free_port())) as url:
        wait_until(lambda: readiness(url).status_code == 200)
        api = Api(url, token_of(engine, Role.READER))
        # Dagster has not made its tables yet.
        assert _samples(api)["sorafeed_dagster_up", ()] == 0
        with open_instance(with_dagster) as instance:
            assert _samples(api)["sorafeed_dagster_failed_runs", ()] == 0
            _fail(instance)
            _fail(instance)
            samples = _samples(api)
            assert samples["sorafeed_dagster_up", ()] == 1
            assert samples["sorafeed_dagster_failed_runs", ()] == 2
        runs = create_database_engine(str(with_dagster.dagster_url), with_dagster)
        run(runs, "UPDATE runs SET end_time = end_time - 4000"
                  " WHERE id = (SELECT min(id) FROM runs)")  # fmt: skip
        runs.dispose()
        assert _samples(api)["sorafeed_dagster_failed_runs", ()] == 1
        api.close()


def test_without_an_address_of_dagster_nothing_is_said_of_it(reader: Api) -> None:
    assert not any(name.startswith("sorafeed_dagster") for name, _ in _samples(reader))


def test_a_locked_table_does_not_delay_the_scrape(reader: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE catalog_changes"))
        samples = _samples(reader)
    assert samples["sorafeed_database_up", ()] == 0
    assert ("sorafeed_waiting_rows", (("table", "catalog_changes"),)) not in samples
    assert _samples(reader)["sorafeed_database_up", ()] == 1

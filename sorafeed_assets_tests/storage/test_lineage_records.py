"""Lineage records: one head per partition, taken by one process at a time, attempts counted."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, create_engine, event

from sorafeed_assets.storage.lineage_records import (
    Change,
    end_lease,
    ensure_heads,
    forget_partitions,
    head_version,
    heads,
    renew_heads,
    renew_lease,
    repeat_heads,
    taking,
    waiting_assets,
    waiting_partitions,
    write_changes,
)
from sorafeed_assets_tests.catalogue import run

_WAITING_FOR_LOCK = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'
"""


class KilledError(Exception):
    """Stands for the end of the process."""


def _write(engine: Engine, *changes: Change) -> list[tuple[str, str]]:
    with engine.begin() as connection:
        return write_changes(connection, changes)


def _take(engine: Engine) -> list[tuple[str, str, int]]:
    with taking(engine, "queue") as taken:
        return [(r.partition, r.data_version, r.attempts) for r in taken.records]


def _take_and_end(engine: Engine, attempts: list[int]) -> None:
    with taking(engine, "queue") as taken:
        attempts += [record.attempts for record in taken.records]
        raise KilledError


def test_only_another_version_is_a_change(engine: Engine) -> None:
    assert _write(engine, Change("queue", "A", "1"), Change("queue", "B", "1")) == [
        ("queue", "A"),
        ("queue", "B"),
    ]
    assert _write(engine, Change("queue", "A", "1"), Change("queue", "B", "2")) == [("queue", "B")]
    with engine.connect() as connection:
        assert heads(connection) == {"queue": {"A": "1", "B": "2"}}
        assert head_version(connection, "queue", "B") == "2"
        assert head_version(connection, "queue", "C") == "none"
        assert waiting_assets(connection)["queue"][0] == 3
        assert set(waiting_partitions(connection, "queue")) == {"A", "B"}


def test_other_upstream_versions_are_recorded_where_they_are_renewed(engine: Engine) -> None:
    assert _write(engine, Change("queue", "A", "1", {"pools": "1", "playlist": "7"}))
    assert _write(engine, Change("queue", "A", "1", {"pools": "2", "playlist": "7"})) == []
    with engine.begin() as connection:
        for version in "122":
            renew_heads(connection, "queue", ["A", "B"], {"pools": version})
    with taking(engine, "queue") as taken:
        assert [(r.partition, r.data_version, r.made_from) for r in taken.records] == [
            ("A", "1", {"pools": "1", "playlist": "7"}),
            ("A", "1", {"pools": "2", "playlist": "7"}),
        ]


def test_what_was_taken_well_waits_no_more_and_old_rows_go(engine: Engine) -> None:
    for version in "123":
        _write(engine, Change("queue", "A", version))
    assert _take(engine) == [("A", "1", 1), ("A", "2", 1), ("A", "3", 1)]
    assert _take(engine) == []
    assert [row.data_version for row in run(engine, "SELECT * FROM lineage_records")] == ["3"]


def test_what_was_begun_before_says_so(engine: Engine) -> None:
    _write(engine, Change("queue", "A", "1"))
    with pytest.raises(KilledError), taking(engine, "queue"):
        raise KilledError
    assert _take(engine) == [("A", "1", 2)]


def test_heads_are_ensured_repeated_and_forgotten(engine: Engine) -> None:
    _write(engine, Change("queue", "A", "1"))
    with engine.begin() as connection:
        ensure_heads(connection, [Change("queue", name, "none") for name in "AB"])
        # Waiting records are not repeated.
        repeat_heads(connection, "queue", None)
    assert [taken[:2] for taken in _take(engine)] == [("A", "1"), ("B", "none")]
    with engine.begin() as connection:
        repeat_heads(connection, "queue", ["B"])
    assert [taken[:2] for taken in _take(engine)] == [("B", "none")]
    with engine.begin() as connection:
        forget_partitions(connection, ["queue"], ["B"])
        assert heads(connection) == {"queue": {"A": "1"}}


def test_two_that_take_at_once_do_not_both_believe_to_be_first(engine: Engine) -> None:
    """A record is added, and another process begins it, while this one waits for the lock."""
    other = create_engine(engine.url)
    begun: list[Future[list[tuple[str, str, int]]]] = []
    with ThreadPoolExecutor(1) as pool:

        def meanwhile(_c: object, _cursor: object, statement: str, *_: object) -> None:
            if "pg_advisory_xact_lock" in statement and not begun:
                _write(other, Change("queue", "A", "1"))
                begun.append(pool.submit(_take, other))
                deadline = time.monotonic() + 60
                while not run(other, _WAITING_FOR_LOCK):
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

        event.listen(engine, "after_cursor_execute", meanwhile)
        taken: list[int] = []
        with pytest.raises(KilledError):
            _take_and_end(engine, taken)
        taken += [attempts for _, _, attempts in begun[0].result(60)]
        taken += [attempts for _, _, attempts in _take(engine)]
    other.dispose()
    assert taken.count(1) == 1


def test_a_lease_has_one_holder(engine: Engine) -> None:
    with engine.begin() as connection:
        assert renew_lease(connection, "react", "one", timedelta(seconds=60))
        assert not renew_lease(connection, "react", "two", timedelta(seconds=60))
        assert renew_lease(connection, "react", "one", timedelta(seconds=-1))
        assert renew_lease(connection, "react", "two", timedelta(seconds=60))
        end_lease(connection, "react", "one")
        assert not renew_lease(connection, "react", "one", timedelta(seconds=60))
        end_lease(connection, "react", "two")
        assert renew_lease(connection, "react", "one", timedelta(seconds=60))

"""How soon changes are queued, sent and started: each is observed once, the first time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from sorafeed_assets.storage.reactions import (
    Reaction,
    add_reactions,
    drop_old,
    observe_queued,
    observe_sent,
    observe_started,
    percentiles,
)
from sorafeed_assets_tests.catalogue import run

_Moment = Callable[[float], datetime]


@pytest.fixture
def at() -> _Moment:
    """Moments around the test's beginning, in seconds from it."""
    now = datetime.now(UTC)
    return lambda seconds: now + timedelta(seconds=seconds)


def test_a_reaction_is_observed_once(engine: Engine, at: _Moment) -> None:
    with engine.begin() as connection:
        nothing = percentiles(connection, [0.5])
        add_reactions(connection, [Reaction("AAAAA1", at(-3), at(-2.8))])
        add_reactions(connection, [Reaction("BBBBB2", at(-3), at(-1))])
    assert nothing == {"queue": None, "event": None, "started": None}
    with engine.begin() as connection:
        assert sorted(observe_queued(connection)) == pytest.approx([0.2, 2.0])
        assert observe_queued(connection) == []
        # An event before the change does not count.
        sent = [("AAAAA1", at(-5)), ("AAAAA1", at(-2.5)), ("AAAAA1", at(-2))]
        assert observe_sent(connection, [*sent, ("CCCCC3", at(0))]) == pytest.approx([0.5])
        assert observe_sent(connection, sent) == []
        assert observe_started(connection, [("AAAAA1", at(1))]) == pytest.approx([4.0])
        assert observe_started(connection, [("AAAAA1", at(2))]) == []
        found = percentiles(connection, [0.0, 1.0])
    assert found["queue"] == pytest.approx([0.2, 2.0])
    assert found["event"] == pytest.approx([0.5, 0.5])
    assert found["started"] == pytest.approx([4.0, 4.0])


def test_reactions_are_kept_for_an_hour(engine: Engine, at: _Moment) -> None:
    with engine.begin() as connection:
        add_reactions(connection, [Reaction("AAAAA1", at(-3_700), at(-3_650))])
        add_reactions(connection, [Reaction("BBBBB2", at(-3_000), at(-2_999))])
        assert percentiles(connection, [1.0])["queue"] == pytest.approx([1.0])
        assert drop_old(connection) == 1
    assert [row.display_id for row in run(engine, "SELECT display_id FROM reactions")] == ["BBBBB2"]

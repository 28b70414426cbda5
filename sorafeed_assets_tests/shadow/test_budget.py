"""The budget of the old database's time: pauses in proportion, which a stop ends."""

from threading import Event

import pytest

from sorafeed_assets.domain.errors import TimedOutError
from sorafeed_assets.services.shadow.budget import Budget, StoppedError
from sorafeed_assets.storage.legacy.old_catalog import old_catalog


@pytest.mark.parametrize(("share", "paused"), [(1.0, 0.0), (0.5, 0.03), (0.1, 0.27)])
def test_pauses_are_in_proportion(share: float, paused: float) -> None:
    beats: list[None] = []
    budget = Budget(share, beat=lambda: beats.append(None))
    for _ in range(3):
        budget.spend(0.01)
    assert budget.spent == pytest.approx(0.03)
    assert budget.paused == pytest.approx(paused)
    assert len(beats) == 3


def test_a_stop_ends_the_pause() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        Budget(0.001, stop).spend(3_600)


def test_a_session_has_its_limits(old_url: str) -> None:
    limits = {"statement_timeout": "100ms", "lock_timeout": "50ms"}
    with old_catalog(old_url, limits) as old:
        assert old.read("SHOW lock_timeout", {}) == [("50ms",)]
        assert old.read("SHOW default_transaction_read_only", {}) == [("on",)]
        with pytest.raises(TimedOutError, match="took too long"):
            old.read("SELECT pg_sleep(%(seconds)s)", {"seconds": 600})
        # The connection is still of use.
        assert old.read("SELECT 1", {}) == [(1,)]

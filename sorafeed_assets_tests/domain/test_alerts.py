"""Alerts: one for each name, as urgent as its worst series, in an order that does not vary."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.alerts import Alert, Series, alerts_of

_START = datetime(2026, 11, 25, 12, tzinfo=UTC)
_SERIES = st.builds(
    Series,
    st.sampled_from(["SorafeedA", "SorafeedB", "Watchdog"]),
    st.sampled_from(["page", "ticket", ""]),
    st.sampled_from(["one", "two"]),
    st.integers(0, 9).map(lambda minutes: _START + timedelta(minutes=minutes)),
)


@given(st.lists(_SERIES, max_size=8), st.randoms())
def test_each_name_has_one_alert_that_says_all_of_its_series(
    found: list[Series], random: Random
) -> None:
    alerts = alerts_of(found)
    ours = [each for each in found if each.name != "Watchdog"]
    assert {alert.name for alert in alerts} == {each.name for each in ours}
    assert len({alert.name for alert in alerts}) == len(alerts)
    for alert in alerts:
        own = [each for each in ours if each.name == alert.name]
        assert alert.since == min(each.since for each in own)
        assert alert.is_urgent == any(each.severity == "page" for each in own)
        assert sorted(alert.summaries) == sorted({each.summary for each in own})
    assert [alert.is_urgent for alert in alerts] == sorted(
        (alert.is_urgent for alert in alerts), reverse=True
    )
    random.shuffle(found)
    assert alerts_of(found) == alerts


def test_the_urgent_and_the_oldest_come_first() -> None:
    later = _START + timedelta(minutes=1)
    found = alerts_of(
        [
            Series("SorafeedSlow", "ticket", "slow", _START),
            Series("SorafeedDown", "ticket", "down a little", _START),
            Series("SorafeedDown", "page", "down", later),
        ]
    )
    assert found == (
        Alert("SorafeedDown", True, ("down", "down a little"), _START),
        Alert("SorafeedSlow", False, ("slow",), _START),
    )
    assert found[0].section == "sorafeeddown"

"""Invalid settings are refused, with the name of their variable."""

from datetime import UTC, datetime, timedelta

import pytest

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.settings import load_settings


def test_the_first_day_may_be_today_and_no_later() -> None:
    today = datetime.now(UTC).date()
    assert load_settings(catalog_first_day=today).catalog_first_day == today
    for days in (1, 2):
        later = datetime.now(UTC).date() + timedelta(days=days)
        with pytest.raises(SetupError, match=r"SORAFEED_CATALOG_FIRST_DAY: .* is in the future"):
            load_settings(catalog_first_day=later)

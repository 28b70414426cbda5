"""Commands that run in this process set variables for Dagster, which must not remain."""

import os
from collections.abc import Iterator

import pytest

_OURS = ("SORAFEED_", "DAGSTER_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variables of the project before the test, and none left by it afterwards."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        monkeypatch.delenv(name)
    yield
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        del os.environ[name]

"""How names and numbers are put into sentences."""

import pytest

from sorafeed_assets.domain.text import few


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, ""), (1, "D0"), (3, "D0, D1, D2"), (4, "D0, D1, D2 and 1 more")],
)
def test_few_names_are_listed_and_more_are_counted(count: int, said: str) -> None:
    assert few([f"D{number}" for number in range(count)], most=3) == said


def test_thousands_of_names_stay_one_line() -> None:
    assert few([f"D{number}" for number in range(10_000)]).endswith("D9 and 9,990 more")

"""What a process of the API imports before it answers players."""

import subprocess
import sys
from typing import Final

# They take longer to import than all the rest.
_LATE: Final = {
    *("alembic", "dagster", "graphql", "icalendar", "numba", "pandas", "strawberry"),
}
_NAMES: Final = "print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def _imported(*modules: str) -> set[str]:
    """The packages that a new process has imported after these modules."""
    lines = ["import sys", *(f"import {module}" for module in modules), _NAMES]
    ended = subprocess.run(
        [sys.executable, "-c", "; ".join(lines)], check=True, capture_output=True, text=True
    )
    return set(ended.stdout.split())


def test_players_are_answered_without_what_they_do_not_need() -> None:
    found = _imported("sorafeed_assets.serving.process", "sorafeed_assets.demo.clips")
    assert "granian" in found
    assert found & _LATE == set()


def test_the_rest_is_found_where_it_is_imported() -> None:
    found = _imported(
        "sorafeed_assets.serving.graphql.endpoint", "sorafeed_assets.domain.catalog.finding"
    )
    assert {"graphql", "numba", "strawberry"} <= found

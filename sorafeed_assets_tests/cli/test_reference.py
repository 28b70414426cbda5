"""docs/reference.md is what the code says."""

from pathlib import Path

from sorafeed_assets.cli.app import COMMANDS
from sorafeed_assets.cli.reference import reference
from sorafeed_assets.serving.live.events import EVENTS, StreamEvent
from sorafeed_assets.settings import Settings

_DOCS = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_is_current() -> None:
    assert _DOCS.read_text("utf-8") == reference(), (
        "the code changed: `python -m sorafeed_assets.cli.reference > docs/reference.md`"
    )


def test_it_has_every_setting_command_metric_and_event() -> None:
    text = reference()
    for name, field in Settings.model_fields.items():
        assert f"| `SORAFEED_{name.upper()}` |" in text
        assert field.description, name
    for name, late in COMMANDS.items():
        assert (f"### `sorafeed {name}" in text) is not late.hidden
    assert EVENTS.keys() == set(StreamEvent)
    for metric in ("requests_total", "displays", "shadow_comparisons", "dagster_failed_runs"):
        assert f"| `sorafeed_{metric}` |" in text
    # Every command, option, metric and event says what it is.
    empty = [line for line in text.splitlines() if line.startswith("|") and line.endswith("|  |")]
    assert empty == []

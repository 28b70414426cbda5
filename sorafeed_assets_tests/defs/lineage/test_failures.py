"""Why a run failed, in a sentence that people read."""

import dagster as dg

from sorafeed_assets.defs.lineage.failures import failure_sentence, step_errors
from sorafeed_assets.domain.errors import InvalidInputError


@dg.asset
def thing() -> None:
    """An asset that is always made."""


@dg.asset_check(asset=thing, blocking=True)
def is_right() -> dg.AssetCheckResult:
    """A blocking check that always fails."""
    return dg.AssetCheckResult(passed=False)


@dg.asset
def refused() -> None:
    """An asset whose input is refused."""
    raise InvalidInputError("displays", "NOSUCH: no such display\ncheck the code")


@dg.asset
def broken() -> None:
    """An asset whose error says nothing."""
    raise KeyError


def _sentence(*assets: dg.AssetsDefinition | dg.AssetChecksDefinition) -> str:
    result = dg.materialize(assets, raise_on_error=False)
    assert not result.success
    failed = result.filter_events(lambda e: e.event_type is dg.DagsterEventType.STEP_FAILURE)
    sentence = failure_sentence("nightly", result.run_id, step_errors(failed))
    return sentence.removeprefix(f"run {result.run_id[:8]} of nightly failed: ")


def test_a_blocking_check_that_failed_is_named() -> None:
    assert _sentence(thing, is_right) == "thing_is_right: failed checks: thing: is_right"


def test_an_error_is_its_first_line_without_the_path_of_its_class() -> None:
    assert _sentence(refused) == "refused: displays: NOSUCH: no such display"
    assert _sentence(broken) == "broken: KeyError"

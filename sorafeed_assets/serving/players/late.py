"""Reading plays that are reported late: what was shown, and when by the server's clock."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.signing import PlannedPick
from sorafeed_assets.services.timelines.advancing import Play
from sorafeed_assets.services.timelines.late import LatePlay

_MOST_NUMBER: Final = 2**31 - 1
_INSTANT: Final = timedelta(microseconds=1)


class Clock:
    """When plays were shown, by the server's clock, in the order in which they are reported.

    A player's clock may be wrong; how long ago it showed a video is right by it. Nothing was shown
    longer ago than twice the ``hours`` for which a plan is valid.
    """

    def __init__(self, body: Mapping[str, Any], hours: int) -> None:
        self._received = datetime.now(UTC)
        self._told_at = _moment(body["now"], "now") if "now" in body else self._received
        self._longest = timedelta(hours=2 * hours)
        self._last = datetime.min.replace(tzinfo=UTC)

    def shown(self, at: datetime) -> datetime:
        """When the next play was shown."""
        age = min(max(self._told_at - at, timedelta()), self._longest)
        self._last = max(self._received - age, self._last + _INSTANT)
        return self._last


def late_play(
    given: Mapping[str, Any], code: str, entry: UUID, clock: Clock, field: str, *, skipped: bool
) -> LatePlay:
    """The play of a pick that a player names; ``field`` is how errors name it.

    Raises:
        InvalidInputError: it is not what a plan says of a pick.
    """
    pick = given["pick"]
    if not isinstance(pick, dict):
        raise InvalidInputError(f"{field}.pick", "must be a JSON object")
    try:
        block_id = UUID(_text(pick, "block", field))
    except ValueError:
        raise InvalidInputError(f"{field}.pick.block", "must be the id of a block") from None
    planned = PlannedPick(
        code,
        block_id,
        _text(pick, "video", field),
        _number(pick, "loop", field),
        _number(pick, "position", field),
    )
    at = clock.shown(_moment(given.get("at"), f"{field}.at"))
    return LatePlay(Play(code, entry, skipped, at), planned, _text(pick, "receipt", field))


def _moment(given: object, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given if isinstance(given, str) else "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInputError(field, "must be a time with its zone, like 2026-11-25T12:00:00Z")
    return moment


def _text(pick: Mapping[str, Any], name: str, field: str) -> str:
    value = pick.get(name)
    if not isinstance(value, str) or "\0" in value:
        raise InvalidInputError(f"{field}.pick.{name}", "must be as the plan has it")
    return value


def _number(pick: Mapping[str, Any], name: str, field: str) -> int:
    value = pick.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_NUMBER:
        raise InvalidInputError(f"{field}.pick.{name}", "must be as the plan has it")
    return value

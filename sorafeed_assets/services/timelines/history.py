"""What a display has shown: its plays, by day and by block."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import shown
from sorafeed_assets.storage.timelines.history import plays_of


@dataclass(frozen=True, slots=True)
class PlayRecord:
    """A play.

    Attributes:
        was_skipped: whether it was ended early, by a person or because it could not be shown.
        has_failed: whether the player could not show the video.
        search: the search of its block; None when the block was removed.
        text: the post's text; None when the post was deleted.
    """

    id: UUID
    video_id: str
    block_id: UUID | None
    loop_iteration: int
    played_at: datetime
    was_skipped: bool
    has_failed: bool
    search: str | None
    text: str | None
    thumbnail_url: str | None
    width: int | None
    height: int | None

    @property
    def outcome(self) -> str:
        """What became of it: shown, skipped or failed."""
        if self.has_failed:
            return "failed"
        return "skipped" if self.was_skipped else "shown"


class PlayFilter(NamedTuple):
    """Which plays are wanted: from ``since``, before ``until``, and of a block."""

    since: datetime | None = None
    until: datetime | None = None
    block_id: UUID | None = None

    @classmethod
    def of_query(cls, given: Mapping[str, str]) -> "PlayFilter":
        """Read the parameters since, until and block of an address.

        Raises:
            InvalidInputError: naming the parameter.
        """
        return cls(
            _moment(given.get("since"), "since"),
            _moment(given.get("until"), "until"),
            _block(given.get("block")),
        )


EVERY_PLAY = PlayFilter()


def read_plays(
    engine: Engine,
    display_id: str,
    size: int,
    after: tuple[datetime | str, UUID],
    wanted: PlayFilter = EVERY_PLAY,
) -> list[PlayRecord]:
    """The next ``size`` plays of a display that are wanted, the latest first."""
    with engine.connect() as connection:
        rows = plays_of(connection, display_id, size, after, *wanted)
    return [PlayRecord(**row) for row in rows]


def _moment(given: str | None, field: str) -> datetime | None:
    if not given:
        return None
    try:
        moment = datetime.fromisoformat(given)
        # An address may have no time zone: then it is UTC.
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(
            field, f"is {shown(given)}; write a time such as 2026-03-01T12:00:00Z"
        ) from None


def _block(given: str | None) -> UUID | None:
    if not given:
        return None
    try:
        return UUID(given)
    except ValueError:
        raise InvalidInputError("block", f"is {shown(given)}; it must be a block's id") from None

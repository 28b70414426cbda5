"""Switching displays from the old system to this one and back: what would change, and why not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.domain.flags.split import Split
from sorafeed_assets.services.flags import FlagChange, Flags
from sorafeed_assets.services.legacy.queues import idle_displays
from sorafeed_assets.services.legacy.status import LegacyStatus, legacy_status
from sorafeed_assets.services.timelines.driving import Driver, driver_of
from sorafeed_assets.services.timelines.rebuild import BuildOutcome, Outcomes
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.legacy.our_plays import last_imported_plays
from sorafeed_assets.storage.playlists.rows import display_ids as existing_displays

_MOST_WAITING: Final = 1_000
"""So many posts of the old catalogue may wait to be copied at a switch: some minutes' worth."""
_OLDEST_IMPORT: Final = timedelta(minutes=1)
"""The old web app writes its file all the time, and `follow` imports it every few seconds."""


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch changes about one display.

    Attributes:
        display_id: the display.
        now: the system that drives it.
        then: the system that will.
        queued: how many videos its queue would have, by a plan that was tried and rolled back.
        played_until: when its last imported play was.
        problems: why it should not be switched.
    """

    display_id: str
    now: Driver
    then: Driver
    queued: int
    played_until: datetime | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cutover:
    """What a switch changes, and what speaks against it for all displays.

    Attributes:
        displays: those that change, or are named.
        by_name: displays that no share changes, because their driver was set by name.
        kept: displays that a smaller share does not change, because the flag keeps them.
        problems: why none should be switched.
        status: of both sides.
    """

    displays: tuple[Switched, ...]
    by_name: Mapping[str, Driver]
    kept: Collection[str]
    problems: tuple[str, ...]
    status: LegacyStatus

    @property
    def is_ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems and not any(each.problems for each in self.displays)


class Switch:
    """Switches displays: by name, or a share of them.

    Args:
        engine: the database.
        timelines: tries the plans of displays that this system does not plan yet.
        catalog_url: the address of the old catalogue, None if there is none.
        queues: the old system's file of queues, None if there is none.
    """

    def __init__(
        self,
        engine: Engine,
        timelines: TimelineService,
        catalog_url: str | None,
        queues: Path | None,
    ) -> None:
        self._engine = engine
        self._timelines = timelines
        self._catalog_url = catalog_url
        self._queues = queues
        self._flags = Flags(engine)

    def check(
        self, display_ids: Sequence[str], share: float | None, then: Driver = Driver.NEW
    ) -> Cutover:
        """What switching displays, or a share of all, would change; nothing is written.

        Raises:
            InvalidInputError: neither or both are given, a display does not exist, or the share
                cannot be of the system ``then``.
        """
        values = self._flags.at_once()
        split = values.split(DRIVER)
        by_name: dict[str, Driver] = {}
        kept: Collection[str] = ()
        if share is None:
            named = self._named(display_ids)
            displays = {code: driver_of(values, code) for code in named}
            changing = [code for code, now in displays.items() if now is not then]
        else:
            if display_ids:
                raise InvalidInputError("share", "cannot be given together with displays")
            if then is Driver.OLD:
                raise InvalidInputError(
                    "share", "cannot be given back; give a smaller share instead, without --back"
                )
            self._must_have_base(split, then)
            if split is not None:
                by_name = {code: Driver(value) for code, value in sorted(split.chosen.items())}
            with self._engine.connect() as connection:
                make = self._flags.share_maker(DRIVER, share, value=then)
                change = self._flags.preview(connection, DRIVER, make)
            kept = change.kept
            displays = {code: Driver(old) for code, (old, _) in change.displays.items()}
            changing = [code for code, (_, new) in change.displays.items() if new == then]
        status = legacy_status(self._engine, self._catalog_url, self._queues)
        tried = self._timelines.try_plans(changing) if then is Driver.NEW else {}
        with self._engine.connect() as connection:
            played = last_imported_plays(connection, list(displays))
            idle = idle_displays(connection)
        # A share that shrinks is a way back, which nothing may be in the way of.
        shrinks = share is not None and bool(displays) and not changing
        after = dict.fromkeys(displays, then)
        if share is not None:
            after = {code: Driver(new) for code, (_, new) in change.displays.items()}
        return Cutover(
            tuple(
                Switched(
                    code,
                    now,
                    after[code],
                    _queued(tried.get(code)),
                    played.get(code),
                    tuple(_problems(code, tried, status, idle)) if then is Driver.NEW else (),
                )
                for code, now in sorted(displays.items())
            ),
            by_name,
            kept,
            tuple(_common_problems(status)) if then is Driver.NEW and not shrinks else (),
            status,
        )

    def switch(
        self,
        display_ids: Sequence[str],
        share: float | None,
        then: Driver = Driver.NEW,
        *,
        by: str,
        why: str,
    ) -> FlagChange:
        """Set the driver of displays, or of a share of all.

        Raises:
            InvalidInputError: as `check`.
        """
        with self._engine.begin() as connection:
            if share is not None:
                self._must_have_base(self._flags.at(connection).split(DRIVER), then)
                return self._flags.set_share(connection, DRIVER, share, value=then, by=by, why=why)
            self._named(display_ids)
            return self._flags.set_displays(connection, DRIVER, display_ids, then, by=by, why=why)

    def _named(self, display_ids: Sequence[str]) -> Sequence[str]:
        if not display_ids:
            raise InvalidInputError("display", "is needed, or --share")
        with self._engine.connect() as connection:
            missing = sorted(set(display_ids) - set(existing_displays(connection, display_ids)))
        if missing:
            raise InvalidInputError(
                "display", f"is {', '.join(missing)}, which does not exist; check the code"
            )
        return display_ids

    def _must_have_base(self, split: Split | None, then: Driver) -> None:
        if split is not None and split.base == then:
            raise InvalidInputError(
                "share",
                f"cannot be given: {then} drives all displays but those set by name; to begin with"
                " the old system, use `sorafeed flags set driver old`, or shadow",
            )


def _queued(outcome: BuildOutcome | SorafeedError | None) -> int:
    return outcome.queued if isinstance(outcome, BuildOutcome) else 0


def _problems(
    code: str, tried: Outcomes, status: LegacyStatus, idle: Collection[str]
) -> Collection[str]:
    problems: list[str] = []
    outcome = tried.get(code)
    if isinstance(outcome, SorafeedError):
        problems.append(f"its playlist cannot be planned: {outcome}")
    elif outcome is not None and outcome.playlist_id is None and code not in idle:
        # Where it shows nothing in the old system either, it loses nothing.
        problems.append("it has no active playlist; import or create one")
    elif outcome is not None and outcome.playlist_id is not None and outcome.queued == 0:
        problems.append("no post matches its playlist, so that its queue would be empty")
    if status.queues is not None:
        problems += [
            f"{each.kind}: {each.problem}"
            for each in status.queues.problems
            if each.kind in {"refused", "conflict"} and _is_of(code, each.place)
        ]
    return problems


def _is_of(code: str, place: str) -> bool:
    """Whether the place of a problem is a display, as here or as the old file writes it."""
    return place.endswith(f"display {code}") or (
        place.startswith("display ") and f"'{code}'" in place.upper()
    )


def _common_problems(status: LegacyStatus) -> Collection[str]:
    problems: list[str] = []
    catalog, queues = status.catalog, status.queues
    again = "let `sorafeed legacy follow` catch up, see `sorafeed legacy status`, and try again"
    if catalog is not None:
        if catalog.problem is not None:
            problems.append(f"the old catalogue cannot be read: {catalog.problem}")
        elif not catalog.is_copied:
            problems.append("the old catalogue is not copied yet; run `sorafeed legacy import`")
        elif (catalog.waiting or 0) > _MOST_WAITING:
            problems.append(f"{catalog.waiting:,} posts wait to be copied; {again}")
    if queues is not None:
        if queues.problem is not None:
            problems.append(f"the old queues cannot be read: {queues.problem}")
        elif queues.imported_at is None:
            problems.append("the old queues are not imported yet; run `sorafeed legacy import`")
        elif not queues.is_current and datetime.now(UTC) - queues.imported_at > _OLDEST_IMPORT:
            problems.append(
                "the old queues were written since their last import, at"
                f" {queues.imported_at:%Y-%m-%d %H:%M} UTC; {again}"
            )
    return problems

"""`Flags`: the flags of one process, as other rooms ask and change them."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError, InvalidInputError
from sorafeed_assets.domain.flags.definition import Definition
from sorafeed_assets.domain.flags.known import KNOWN, KnownFlag, KnownFlags, known_flag
from sorafeed_assets.domain.flags.split import Split, buckets_of, definition_of
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.flags.changes import FlagChange, load_values, preview, write
from sorafeed_assets.services.flags.values import FlagValues, Reason
from sorafeed_assets.storage.flags.versions import HistoryRow, flags_version, load_history
from sorafeed_assets.storage.playlists.rows import display_ids as existing_displays

_LOOK_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)

Make = Callable[[FlagValues], Definition]
"""Makes a definition of the values before."""


class Flags:
    """The flags of one process; safe to share between threads.

    An answer is at most a second old, except in `at`, where it is what the transaction sees.

    Args:
        engine: the database with the definitions.
        known: the flags that the code asks for.
    """

    def __init__(self, engine: Engine, known: KnownFlags = KNOWN) -> None:
        self._engine = engine
        self._known = known
        self._held = self._seen = FlagValues(known=known)
        self._looked_at = float("-inf")
        self._lock = Lock()

    @property
    def known(self) -> KnownFlags:
        """The flags that the code asks for, by key."""
        return self._known

    @property
    def held(self) -> FlagValues:
        """The values as they were last read, without any I/O; the defaults before the first."""
        return self._held

    def now(self) -> FlagValues:
        """The values now: read again after half a second, if a definition was changed."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            return self.at_once()
        return self._held

    def at_once(self) -> FlagValues:
        """The values as they are stored at this moment."""
        looked_at = time.monotonic()
        with self._engine.connect() as connection:
            values = self.at(connection)
        with self._lock:
            if values.version >= self._held.version:
                self._held, self._looked_at = values, looked_at
        return values

    def at(self, connection: Connection) -> FlagValues:
        """The values as a transaction sees them: one short query, more after a change."""
        return self.of_version(connection, flags_version(connection))

    def of_version(self, connection: Connection, version: int) -> FlagValues:
        """The values of a version that the transaction has just read."""
        for values in (self._held, self._seen):
            if values.version == version:
                return values
        # Not the held ones of this process: the transaction may have written them itself.
        self._seen = values = load_values(connection, self._known)
        return values

    def value(self, flag: str, display_id: str) -> str:
        """The value of a flag for a display.

        Raises:
            UnknownFlagError: no flag has this key.
        """
        return self.now().value(flag, display_id)

    def values(self, flag: str, display_ids: Collection[str]) -> dict[str, str]:
        """Display → its value of a flag."""
        return self.now().values(flag, display_ids)

    def why(self, flag: str, display_id: str) -> Reason:
        """A display's value of a flag, and the reason, as they are at this moment.

        Raises:
            UnknownFlagError: no flag has this key.
            DisplayNotFoundError: no display has this code.
        """
        reason = self.at_once().why(flag, display_id)
        with self._engine.connect() as connection:
            if not existing_displays(connection, [display_id]):
                raise DisplayNotFoundError(display_id)
        return reason

    def share(self, flag: str) -> float:
        """The size of the flag's share in percent."""
        return self.now().share(flag)

    def in_share(self, flag: str, display_ids: Collection[str]) -> set[str]:
        """Those of the displays whose value is not the flag's base value: in the share, or chosen.

        Displays that a shrunken share keeps are in too.
        """
        return self.now().in_share(flag, display_ids)

    def set_share(
        self,
        connection: Connection,
        flag: str,
        percent: float,
        *,
        by: str,
        why: str,
        value: str | None = None,
        keep: bool | None = None,
    ) -> FlagChange:
        """Give a share of the displays another value; the rest has the base value.

        The displays whose value changes are noted in `display_changes` by the same transaction.
        Displays that were chosen by name stay as they are.

        Args:
            connection: the transaction.
            flag: the flag's key.
            percent: the size of the share, 0 to 100, with two decimals.
            by: who changes it: a token's name or a command.
            why: the reason, for the history.
            value: the value of the share; by default the one it has, or the only other one.
            keep: whether displays that are in stay in when the share shrinks, now and later; by
                default as configured before. False takes out every display that was kept.

        Raises:
            UnknownFlagError: no flag has this key.
            InvalidInputError: the share or value is invalid, or the definition was written by hand.
        """
        make = self.share_maker(flag, percent, value=value, keep=keep)
        return write(connection, self._known, flag, make, by=by, why=why)

    def set_displays(
        self,
        connection: Connection,
        flag: str,
        display_ids: Collection[str],
        value: str,
        *,
        by: str,
        why: str,
    ) -> FlagChange:
        """Set the value of displays by name, whatever the share.

        Raises:
            UnknownFlagError: no flag has this key.
            InvalidInputError: a display does not exist, the value is none of the flag's, or the
                definition was written by hand.
        """
        self._check_displays(connection, display_ids)
        make = self.displays_maker(flag, display_ids, value)
        return write(connection, self._known, flag, make, by=by, why=why)

    def set_all(
        self, connection: Connection, flag: str, value: str, *, by: str, why: str
    ) -> FlagChange:
        """Give all displays one value; shares and choices by name end.

        Raises:
            UnknownFlagError: no flag has this key.
            InvalidInputError: the value is none of the flag's.
        """
        make = self.all_maker(flag, value)
        return write(connection, self._known, flag, make, by=by, why=why)

    def set_definition(
        self, connection: Connection, flag: str, definition: object, *, by: str, why: str
    ) -> FlagChange:
        """Store a definition in flagd's JSON, written by hand.

        Raises:
            UnknownFlagError: no flag has this key.
            InvalidInputError: the definition is refused, with its place.
        """
        # `write` checks the definition.
        make: Make = lambda _before: definition  # type: ignore[assignment, return-value]  # noqa: E731
        return write(connection, self._known, flag, make, by=by, why=why)

    def preview(self, connection: Connection, flag: str, make: Make) -> FlagChange:
        """The change that a maker's definition would make; nothing is written."""
        return preview(connection, self._known, flag, make)

    def history(
        self, connection: Connection, flag: str | None = None, most: int = 100
    ) -> Sequence[HistoryRow]:
        """The last changes of a flag, or of all, the newest first: who, when, why, before, after.

        Raises:
            UnknownFlagError: no flag has this key.
        """
        if flag is not None:
            known_flag(flag, self._known)
        return list(load_history(connection, flag, most))

    def share_maker(
        self, flag: str, percent: float, *, value: str | None = None, keep: bool | None = None
    ) -> Make:
        """What makes the definition of `set_share`."""
        known, buckets = known_flag(flag, self._known), buckets_of(percent)

        def make(before: FlagValues) -> Definition:
            split = _split(before, known)
            chosen = value or split.value or _other(known, split.base)
            _check_value(known, chosen)
            if chosen == split.base:
                raise InvalidInputError(
                    "value", f"is {chosen!r}, the value of all other displays; name another"
                )
            kept = split.keep if keep is None else keep
            return definition_of(known, replace(split, value=chosen, buckets=buckets, keep=kept))

        return make

    def displays_maker(self, flag: str, display_ids: Collection[str], value: str) -> Make:
        """What makes the definition of `set_displays`."""
        known = known_flag(flag, self._known)
        _check_value(known, value)

        def make(before: FlagValues) -> Definition:
            split = _split(before, known)
            chosen = {**split.chosen, **dict.fromkeys(display_ids, value)}
            return definition_of(known, replace(split, chosen=chosen))

        return make

    def all_maker(self, flag: str, value: str) -> Make:
        """What makes the definition of `set_all`."""
        known = known_flag(flag, self._known)
        _check_value(known, value)
        return lambda _before: definition_of(known, Split(value))

    def _check_displays(self, connection: Connection, given: Collection[str]) -> None:
        for code in given:
            check_display_code(code, "display")
        missing = sorted(set(given) - set(existing_displays(connection, given)))
        if missing:
            raise InvalidInputError(
                "display", f"is {', '.join(missing)}, which does not exist; check the code"
            )


def _split(before: FlagValues, flag: KnownFlag) -> Split:
    split = before.split(flag.key)
    if split is None:
        raise InvalidInputError(
            flag.key,
            "has a definition that was written by hand; edit that, or first set one value for all",
        )
    return split


def _other(flag: KnownFlag, base: str) -> str:
    others = [value for value in flag.values if value != base]
    if len(others) != 1:
        raise InvalidInputError("value", f"is needed; it can be {', '.join(others)}")
    return others[0]


def _check_value(flag: KnownFlag, value: str) -> None:
    if value not in flag.values:
        raise InvalidInputError(
            "value", f"is {value!r}; {flag.key} can be {', '.join(flag.values)}"
        )

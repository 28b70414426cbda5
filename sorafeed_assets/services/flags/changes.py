"""Changing a flag: checked, stored with its reason, and displays with another value noted."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.flags.definition import KEEP, Definition, check_definition
from sorafeed_assets.domain.flags.known import KNOWN, KnownFlag, KnownFlags, known_flag
from sorafeed_assets.domain.text import check_storable
from sorafeed_assets.services.flags.values import FlagValues
from sorafeed_assets.storage.flags.versions import (
    StoredVersion,
    add_version,
    flags_version,
    keep_assignments,
    load_assignments,
    load_versions,
)
from sorafeed_assets.storage.playlists.changes import note_displays
from sorafeed_assets.storage.playlists.rows import display_ids, lock_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock

_MOST_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class FlagChange:
    """A change of a flag; ``version`` is None when the same definition was stored already.

    ``displays`` has the values before and after of each display whose value changed, and ``kept``
    those that stay in a share although it does not reach them.
    """

    flag: str
    version: int | None
    displays: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    kept: Collection[str] = ()


def load_values(connection: Connection, known: KnownFlags = KNOWN) -> FlagValues:
    """The values of all flags, as the transaction sees them."""
    # The version first: definitions that are committed in between are then read again.
    version = flags_version(connection)
    if not version:
        return FlagValues(known=known)
    return FlagValues(version, load_versions(connection), load_assignments(connection), known)


def preview(
    connection: Connection,
    known: KnownFlags,
    flag: str,
    make: Callable[[FlagValues], Definition],
) -> FlagChange:
    """The change that `write` would make; nothing is written.

    Raises:
        UnknownFlagError, InvalidInputError: as `write`.
    """
    return _Writing(connection, known_flag(flag, known), known, make).change


def write(
    connection: Connection,
    known: KnownFlags,
    flag: str,
    make: Callable[[FlagValues], Definition],
    *,
    by: str,
    why: str,
) -> FlagChange:
    """Store a definition, and note the displays whose value it changes, to be settled.

    The locks of these displays are held until the transaction ends: a transaction that
    holds one afterwards sees the new value.

    Args:
        connection: the transaction.
        known: the flags that the code asks for.
        flag: the flag's key.
        make: makes the definition of the values before.
        by: who changes it: a token's name or a command.
        why: the reason, for the history.

    Raises:
        UnknownFlagError: no flag has this key.
        InvalidInputError: the definition is refused, with its place.
    """
    found = known_flag(flag, known)
    by, why = _text("by", by), _text("why", why)
    # One lock for all flags, so that their versions are committed in order.
    lock(connection, LockSpace.FLAG, [""])
    writing = _Writing(connection, found, known, make)
    changed = writing.change.displays
    if writing.is_same:
        return writing.change
    if found.is_published and changed:
        lock_displays(connection, changed)
    version = add_version(
        connection, flag, writing.definition, by=by, why=why, displays=len(changed)
    )
    keep_assignments(connection, flag, writing.kept)
    if found.is_published and changed:
        note_displays(connection, changed)
    return replace(writing.change, version=version)


class _Writing:
    """The definition to store, what it changes, and which displays keep their value."""

    def __init__(
        self,
        connection: Connection,
        flag: KnownFlag,
        known: KnownFlags,
        make: Callable[[FlagValues], Definition],
    ) -> None:
        before = load_values(connection, known)
        self.definition: Final = check_definition(flag, make(before))
        self.is_same: Final = self.definition == before.definition(flag.key)
        self.kept: dict[str, str] = {}
        stored = [StoredVersion(flag.key, 0, self.definition)]
        plain = FlagValues(0, stored, None, known)
        codes = display_ids(connection)
        old = before.values(flag.key, codes)
        new = plain.values(flag.key, codes)
        if _keeps(self.definition):
            base = plain.base(flag.key)
            split = plain.split(flag.key)
            chosen = {} if split is None else split.chosen
            self.kept = {
                code: old[code]
                for code in codes
                if code not in chosen and new[code] == base != old[code]
            }
            new |= self.kept
        self.change: Final = FlagChange(
            flag.key,
            None,
            {c: (old[c], new[c]) for c in codes if old[c] != new[c]},
            sorted(self.kept),
        )


def _keeps(definition: Definition) -> bool:
    metadata = definition.get("metadata")
    is_kept = isinstance(metadata, dict) and metadata.get(KEEP) is True
    # A definition that is disabled gives every display the default of the code.
    return is_kept and definition["state"] == "ENABLED"


def _text(name: str, given: str) -> str:
    check_storable(given, name)
    text = given.strip()
    if not text or len(text) > _MOST_TEXT:
        raise InvalidInputError(name, f"must be a text of 1 to {_MOST_TEXT} characters")
    return text

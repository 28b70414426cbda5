"""The values of all flags at one moment, and the reason of each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.flag_evaluation import Reason as Resolution

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.flags.definition import Definition
from sorafeed_assets.domain.flags.known import DRIVER, KNOWN, KnownFlag, KnownFlags, known_flag
from sorafeed_assets.domain.flags.split import BUCKETS, Split, definition_of, split_of
from sorafeed_assets.services.flags.provider import KEPT, FlagsProvider
from sorafeed_assets.storage.flags.versions import StoredVersion

_IN: Final = "in"
_OUT: Final = "out"


class ReasonKind(StrEnum):
    """Why a display has a value."""

    DEFAULT = "default"
    """No definition is stored, or it is disabled."""
    ALL = "all"
    """The value is that of all displays."""
    CHOSEN = "chosen"
    """The value was set for this display by name."""
    IN_SHARE = "in share"
    """The display's bucket is in the share."""
    OUT_OF_SHARE = "out of share"
    """The display's bucket is not in the share."""
    KEPT = "kept"
    """The display was in the share before it shrank, and the flag keeps it in."""
    RULE = "rule"
    """The definition was written by hand."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A display's value of a flag, and why; ``version`` is of the definition, 0 without one.

    ``text`` is a sentence for people.
    """

    flag: str
    display_id: str
    value: str
    kind: ReasonKind
    text: str
    version: int


class FlagValues:
    """The values of all flags by one set of definitions; it never changes, and does no I/O.

    Args:
        version: of the definitions, see `storage.flags.versions.flags_version`.
        stored: the definitions; those of flags that this code does not know are ignored.
        kept: (flag, display) → the value that the display keeps.
        known: the flags that the code asks for.
    """

    def __init__(
        self,
        version: int = 0,
        stored: Collection[StoredVersion] = (),
        kept: Mapping[tuple[str, str], str] | None = None,
        known: KnownFlags = KNOWN,
    ) -> None:
        self.version: Final = version
        self.known: Final = known
        self._stored = {each.flag: each for each in stored if each.flag in known}
        definitions = {key: each.definition for key, each in self._stored.items()}
        self._kept = kept or {}
        self._provider = FlagsProvider(definitions, self._kept)
        self._found: dict[tuple[str, str], FlagResolutionDetails[str]] = {}
        self._given: dict[tuple[str, str], str] = {}

    def value(self, flag: str, display_id: str) -> str:
        """The value of a flag for a display.

        Raises:
            UnknownFlagError: no flag has this key.
        """
        known = known_flag(flag, self.known)
        given = self._given.get((flag, display_id))
        if given is not None:
            return given
        if flag not in self._stored:
            return known.default
        return self._resolve(known, display_id).value

    def given(self, flag: str, display_ids: Collection[str], value: str) -> "FlagValues":
        """These values, but with another one of a flag for some displays, to try it."""
        known_flag(flag, self.known)
        other = FlagValues(self.version, [*self._stored.values()], self._kept, self.known)
        other._given = {**self._given, **{(flag, code): value for code in display_ids}}
        return other

    def values(self, flag: str, display_ids: Collection[str]) -> dict[str, str]:
        """Display → its value of a flag."""
        return {display_id: self.value(flag, display_id) for display_id in display_ids}

    def base(self, flag: str) -> str:
        """The value of the displays that are in no share and were not chosen by name."""
        known = known_flag(flag, self.known)
        definition = self.definition(flag)
        if definition is None or definition["state"] != "ENABLED":
            return known.default
        variants = definition["variants"]
        if not isinstance(variants, dict):
            raise InvalidInputError(f"{flag}.variants", "must be a JSON object")
        return str(variants[definition["defaultVariant"]])

    def in_share(self, flag: str, display_ids: Collection[str]) -> set[str]:
        """Those of the displays whose value is not the flag's base value."""
        base = self.base(flag)
        return {name for name, value in self.values(flag, display_ids).items() if value != base}

    def definition(self, flag: str) -> Definition | None:
        """The stored definition of a flag in flagd's JSON."""
        known_flag(flag, self.known)
        stored = self._stored.get(flag)
        return None if stored is None else stored.definition

    def definition_version(self, flag: str) -> int:
        """The number of the flag's definition, counted per flag; 0 without one."""
        stored = self._stored.get(flag)
        return 0 if stored is None else stored.version

    def split(self, flag: str) -> Split | None:
        """How the flag's values are spread; None for a definition written by hand."""
        return split_of(known_flag(flag, self.known), self.definition(flag))

    def share(self, flag: str) -> float:
        """The size of the flag's share in percent; 0 without one, or if it was written by hand."""
        split = self.split(flag)
        return 0.0 if split is None else split.percent

    def kept(self, flag: str) -> set[str]:
        """The displays that stay in a share which no longer reaches them."""
        return {display_id for key, display_id in self._kept if key == flag}

    def shown(self, *, beside: bool) -> list[KnownFlag]:
        """The flags of a page: `driver` only ``beside`` an old system, or once it was set."""
        return [
            each
            for key, each in self.known.items()
            if key != DRIVER or beside or key in self._stored
        ]

    def summary(self, flag: str) -> str:
        """How the values of a flag are spread, in words."""
        definition = self.definition(flag)
        if definition is None:
            return f"{self.base(flag)}, the default"
        if definition["state"] != "ENABLED":
            return f"{self.base(flag)}, the default; the definition is disabled"
        split = self.split(flag)
        if split is None:
            return f"{self.base(flag)}; for some displays by a definition written by hand"
        parts = [split.base]
        if split.value is not None:
            kept = ", whose displays stay in when it shrinks" if split.keep else ""
            parts = [f"{split.value} for a share of {split.percent:g} %{kept}"]
            parts.append(f"{split.base} for the others")
        parts += [
            f"{value} by name for {', '.join(codes)}"
            for value in self.known[flag].values
            if (codes := sorted(code for code, chosen in split.chosen.items() if chosen == value))
        ]
        return "; ".join(parts)

    def why(self, flag: str, display_id: str) -> Reason:
        """A display's value of a flag, and the reason.

        Raises:
            UnknownFlagError: no flag has this key.
        """
        known = known_flag(flag, self.known)
        version = self.definition_version(flag)
        kind, text = self._reason(known, display_id)
        return Reason(flag, display_id, self.value(flag, display_id), kind, text, version)

    def _reason(self, flag: KnownFlag, display_id: str) -> tuple[ReasonKind, str]:
        if flag.key not in self._stored:
            return ReasonKind.DEFAULT, "nothing was set, so the default applies"
        found = self._resolve(flag, display_id)
        split = self.split(flag.key)
        if found.reason == KEPT:
            return ReasonKind.KEPT, "it was in the share before that shrank, and is kept in"
        if found.reason == Resolution.DISABLED:
            return (
                ReasonKind.DEFAULT,
                "the definition is disabled, so the default applies",
            )
        if split is None:
            return ReasonKind.RULE, "the definition was written by hand; read its targeting"
        if display_id in split.chosen:
            return ReasonKind.CHOSEN, "it was set for this display by name"
        if split.value is None:
            return ReasonKind.ALL, "it is the value of all displays"
        bucket = bucket_of(flag, display_id) * 100 / BUCKETS
        share = f"of {split.percent:g} %: the display is at {bucket:g} %"
        if found.value == split.value:
            return ReasonKind.IN_SHARE, f"it is in the share {share}"
        return ReasonKind.OUT_OF_SHARE, f"it is outside the share {share}"

    def _resolve(self, flag: KnownFlag, display_id: str) -> FlagResolutionDetails[str]:
        found = self._found.get((flag.key, display_id))
        if found is None:
            try:
                found = self._provider.resolve_string_details(
                    flag.key, flag.default, EvaluationContext(display_id)
                )
            except OpenFeatureError as error:
                # Definitions are checked before they are stored; plain SQL may store others.
                raise SorafeedError(
                    f"the definition of flag {flag.key} cannot be evaluated:"
                    f" {error.error_message}; set it again with `sorafeed flags set`"
                ) from error
            self._found[flag.key, display_id] = found
        return found


def bucket_of(flag: KnownFlag, display_id: str) -> int:
    """The bucket of a display, from 0; a share of more buckets than this has the display in.

    Found by asking the evaluator for shares, so that both always agree.
    """
    low, high = 0, BUCKETS - 1
    sides = KnownFlag(flag.key, (_IN, _OUT), _OUT, "")
    context = EvaluationContext(display_id)
    while low < high:
        middle = (low + high) // 2
        split = Split(_OUT, _IN, middle + 1)
        provider = FlagsProvider({flag.key: definition_of(sides, split)}, {})
        if provider.resolve_string_details(flag.key, _OUT, context).value == _IN:
            high = middle
        else:
            low = middle + 1
    return low

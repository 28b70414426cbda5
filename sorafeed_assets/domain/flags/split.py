"""The definitions that commands write: one value for all, others by name or for a share.

A display's bucket is a hash of the flag's key and the display's code, in ten thousandths of all.
The share takes the lowest buckets, so a display that is in stays in when the share grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.flags.definition import DISPLAY, KEEP, Definition
from sorafeed_assets.domain.flags.known import KnownFlag

BUCKETS: Final = 10_000
"""How many buckets displays fall into: a share has two decimals of a percent."""


@dataclass(frozen=True, slots=True)
class Split:
    """How the values of a flag are spread over displays.

    Attributes:
        base: the value of all displays that nothing else applies to.
        value: the value of the share.
        buckets: the size of the share, of `BUCKETS`.
        chosen: display → its value, set by name; the share does not apply to it.
        keep: whether displays that are in a share stay in when it shrinks.
    """

    base: str
    value: str | None = None
    buckets: int = 0
    chosen: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False

    @property
    def percent(self) -> float:
        """The size of the share in percent."""
        return self.buckets * 100 / BUCKETS


def buckets_of(percent: float) -> int:
    """A share in percent as a number of buckets.

    Raises:
        InvalidInputError: it is not from 0 to 100.
    """
    if not 0 <= percent <= 100:
        raise InvalidInputError("share", f"is {percent:g} %; it must be from 0 to 100")
    return round(percent * BUCKETS / 100)


def definition_of(flag: KnownFlag, split: Split) -> Definition:
    """The definition of a split, in flagd's JSON."""
    rest: object = None
    if split.value is not None:
        rest = {"fractional": [[split.value, split.buckets], [split.base, BUCKETS - split.buckets]]}
    rules: list[object] = []
    for value in flag.values:
        codes = sorted(code for code, chosen in split.chosen.items() if chosen == value)
        if codes:
            rules += [{"in": [{"var": DISPLAY}, codes]}, value]
    if rules:
        rest = {"if": rules if rest is None else [*rules, rest]}
    return {
        "state": "ENABLED",
        "variants": {value: value for value in flag.values},
        "defaultVariant": split.base,
        **({} if rest is None else {"targeting": rest}),
        "metadata": {KEEP: split.keep},
    }


def split_of(flag: KnownFlag, definition: Definition | None) -> Split | None:
    """The split that a definition was made of; None for a definition written by hand.

    Without a definition all displays have the default value.
    """
    if definition is None:
        return Split(flag.default)
    try:
        split = _read(definition)
    except (KeyError, TypeError, ValueError):
        return None
    return split if definition_of(flag, split) == definition else None


def _read(definition: Definition) -> Split:
    metadata, rest = definition["metadata"], definition.get("targeting")
    chosen: dict[str, str] = {}
    value, buckets = None, 0
    if isinstance(rest, dict) and "if" in rest:
        rules = list(rest["if"])
        rest = rules.pop() if len(rules) % 2 else None
        for condition, result in zip(rules[::2], rules[1::2], strict=True):
            chosen.update(dict.fromkeys(condition["in"][1], str(result)))
    if isinstance(rest, dict):
        (value, buckets), _ = rest["fractional"]
    keep = isinstance(metadata, dict) and metadata[KEEP] is True
    return Split(str(definition["defaultVariant"]), value, buckets, chosen, keep)

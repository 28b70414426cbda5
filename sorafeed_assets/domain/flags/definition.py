"""Definitions of flags in flagd's JSON: checked with the place of each error, before any is stored.

A definition's targeting may use only the display's code, so that its value for a display depends
neither on the moment nor on the process that asks.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.flags.known import KnownFlag
from sorafeed_assets.domain.text import check_storable

Definition = Mapping[str, object]
"""One flag in flagd's JSON: state, variants, defaultVariant, targeting, metadata."""

KEEP: Final = "keep"
"""The metadata that keeps a display in a share which shrinks."""
DISPLAY: Final = "targetingKey"
"""The variable with the display's code."""

_FIELDS: Final = {"state", "variants", "defaultVariant", "targeting", "metadata"}
_STATES: Final = ("ENABLED", "DISABLED")
_OF_TWO: Final = {"==", "!=", "in", "starts_with", "ends_with"}
_CONDITIONS: Final = _OF_TWO | {"!", "and", "or", "if"}
_MOST_WEIGHT: Final = 2**31 - 1
_DEEPEST: Final = 12


def check_definition(flag: KnownFlag, given: object) -> Definition:
    """Check a definition that a caller wants to store.

    Raises:
        InvalidInputError: naming the place in the JSON, and what may stand there.
    """
    definition = _object(flag.key, given)
    unknown = sorted(definition.keys() - _FIELDS)
    if unknown:
        raise InvalidInputError(
            f"{flag.key}.{unknown[0]}", f"is unknown; a flag has {', '.join(sorted(_FIELDS))}"
        )
    if definition.get("state") not in _STATES:
        raise InvalidInputError(f"{flag.key}.state", f"must be one of {', '.join(_STATES)}")
    variants = _variants(flag, definition.get("variants"))
    _variant(f"{flag.key}.defaultVariant", definition.get("defaultVariant"), variants)
    _metadata(flag, definition.get("metadata", {}))
    targeting = definition.get("targeting")
    if targeting is not None:
        _object(f"{flag.key}.targeting", targeting)
        _result(f"{flag.key}.targeting", targeting, variants)
    _storable(flag.key, definition)
    return definition


def _storable(place: str, given: object) -> None:
    """Refuse texts and numbers that JSON in a database cannot have."""
    if isinstance(given, str):
        check_storable(given, place)
    elif isinstance(given, float) and not isfinite(given):
        raise InvalidInputError(place, f"is {given}; it must be finite")
    elif isinstance(given, list):
        for number, each in enumerate(given):
            _storable(f"{place}[{number}]", each)
    elif isinstance(given, dict):
        for name, each in given.items():
            check_storable(name, place)
            _storable(f"{place}.{name}", each)


def _variants(flag: KnownFlag, given: object) -> Mapping[str, object]:
    place = f"{flag.key}.variants"
    variants = _object(place, given)
    if not variants:
        raise InvalidInputError(place, "is empty; name at least one value")
    for name, value in variants.items():
        if value not in flag.values:
            raise InvalidInputError(
                f"{place}.{name}", f"is {value!r}; it must be one of {', '.join(flag.values)}"
            )
    return variants


def _metadata(flag: KnownFlag, given: object) -> None:
    place = f"{flag.key}.metadata"
    for name, value in _object(place, given).items():
        if name == KEEP and not isinstance(value, bool):
            raise InvalidInputError(f"{place}.{name}", "must be true or false")
        if not isinstance(value, str | int | float | bool):
            raise InvalidInputError(f"{place}.{name}", "must be a text, a number, true or false")


def _result(place: str, given: object, variants: Mapping[str, object], depth: int = 0) -> None:
    """Check an expression whose value is a variant, or null for the default one."""
    _check_depth(place, depth)
    if given is None:
        return
    if isinstance(given, str):
        _variant(place, given, variants)
        return
    operator, operands = _operation(place, given)
    if operator == "fractional":
        _shares(f"{place}.fractional", operands, variants)
    elif operator == "if":
        for number, operand in enumerate(operands):
            at = f"{place}.if[{number}]"
            if number % 2 == 0 and number + 1 < len(operands):
                _condition(at, operand, depth + 1)
            else:
                _result(at, operand, variants, depth + 1)
    else:
        raise InvalidInputError(
            f"{place}.{operator}", "gives no variant; use a variant's name, if, or fractional"
        )


def _shares(place: str, entries: list[object], variants: Mapping[str, object]) -> None:
    total = 0
    for number, entry in enumerate(entries):
        at = f"{place}[{number}]"
        if not isinstance(entry, list) or len(entry) != 2:
            raise InvalidInputError(
                at, "must be [variant, weight]; displays are bucketed by their code"
            )
        variant, weight = entry
        _variant(f"{at}[0]", variant, variants)
        if isinstance(weight, bool) or not isinstance(weight, int) or weight < 0:
            raise InvalidInputError(f"{at}[1]", f"is {weight!r}; it must be a whole number from 0")
        total += weight
    if not 0 < total <= _MOST_WEIGHT:
        raise InvalidInputError(
            place, f"has weights of {total:,} in all; they must add up to 1 to {_MOST_WEIGHT:,}"
        )


def _condition(place: str, given: object, depth: int) -> None:
    """Check an expression of the display's code: variables, texts, lists and operations."""
    _check_depth(place, depth)
    if isinstance(given, list):
        for number, each in enumerate(given):
            _condition(f"{place}[{number}]", each, depth + 1)
    elif isinstance(given, dict):
        operator, operands = _operation(place, given)
        if operator == "var":
            if operands != [DISPLAY]:
                raise InvalidInputError(
                    f"{place}.var", f"is {operands}; only {DISPLAY}, the display's code, is known"
                )
            return
        if operator not in _CONDITIONS:
            known = ", ".join(sorted(_CONDITIONS))
            raise InvalidInputError(f"{place}.{operator}", f"is unknown here; use one of {known}")
        if operator in _OF_TWO and len(operands) != 2:
            raise InvalidInputError(
                f"{place}.{operator}", f"has {len(operands)} operands; it needs two"
            )
        _condition(f"{place}.{operator}", operands, depth + 1)


def _operation(place: str, given: object) -> tuple[str, list[object]]:
    found = _object(place, given)
    if len(found) != 1:
        raise InvalidInputError(place, "must be one operation: an object with one key")
    ((operator, operands),) = found.items()
    return operator, operands if isinstance(operands, list) else [operands]


def _variant(place: str, given: object, variants: Mapping[str, object]) -> None:
    if not isinstance(given, str) or given not in variants:
        known = ", ".join(sorted(variants))
        raise InvalidInputError(place, f"is {given!r}; it must be one of the variants: {known}")


def _object(place: str, given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise InvalidInputError(place, "must be a JSON object")
    return given


def _check_depth(place: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise InvalidInputError(place, f"is nested more than {_DEEPEST} deep")

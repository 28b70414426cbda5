"""Definitions in flagd's JSON: what is refused, with its place, and what commands write."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.flags.definition import check_definition
from sorafeed_assets.domain.flags.known import KNOWN, KnownFlag, UnknownFlagError, known_flag
from sorafeed_assets.domain.flags.split import (
    BUCKETS,
    Split,
    buckets_of,
    definition_of,
    split_of,
)

FLAG = KnownFlag("colour", ("red", "green", "blue"), "red", "the colour of a test")
GOOD: dict[str, Any] = {
    "state": "ENABLED",
    "variants": {"on": "green", "off": "red"},
    "defaultVariant": "off",
    "targeting": {
        "if": [
            {"and": [{"in": [{"var": "targetingKey"}, ["HALL01", "HALL02"]]}, {"!": [False]}]},
            "on",
            {"starts_with": [{"var": "targetingKey"}, "LOBBY"]},
            {"fractional": [["on", 30], ["off", 70]]},
            None,
        ]
    },
    "metadata": {"keep": True, "team": "walls"},
}


def test_a_good_definition_is_accepted() -> None:
    assert check_definition(FLAG, GOOD) == GOOD


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"colour": 1}, "colour.colour"),
        ({"state": "MAYBE"}, "colour.state"),
        ({"variants": {}}, "colour.variants"),
        ({"variants": {"on": "yellow", "off": "red"}}, "colour.variants.on"),
        ({"defaultVariant": "other"}, "colour.defaultVariant"),
        ({"defaultVariant": None}, "colour.defaultVariant"),
        ({"metadata": {"keep": "yes"}}, "colour.metadata.keep"),
        ({"metadata": {"list": []}}, "colour.metadata.list"),
        ({"metadata": []}, "colour.metadata"),
        ({"targeting": "on"}, "colour.targeting"),
        ({"targeting": {"if": [True, "yellow"]}}, "colour.targeting.if[1]"),
        ({"targeting": {"cat": ["o", "n"]}}, "colour.targeting.cat"),
        ({"targeting": {"if": [], "fractional": []}}, "colour.targeting"),
        ({"targeting": {"fractional": []}}, "colour.targeting.fractional"),
        (
            {"targeting": {"fractional": [["on", 0], ["off", 0]]}},
            "colour.targeting.fractional",
        ),
        (
            {"targeting": {"fractional": [["on", 1], ["off", 2.5]]}},
            "colour.targeting.fractional[1][1]",
        ),
        (
            {"targeting": {"fractional": [["on", True], ["off", 1]]}},
            "colour.targeting.fractional[0][1]",
        ),
        (
            {"targeting": {"fractional": [["on", 1], ["yellow", 1]]}},
            "colour.targeting.fractional[1][0]",
        ),
        (
            {"targeting": {"fractional": [{"var": "zone"}, ["on", 1]]}},
            "colour.targeting.fractional[0]",
        ),
        ({"metadata": {"team": "a\x00b"}}, "colour.metadata.team"),
        ({"metadata": {"team": "\ud800"}}, "colour.metadata.team"),
        ({"metadata": {"team": float("nan")}}, "colour.metadata.team"),
        ({"variants": {"\x00": "red", "on": "green", "off": "red"}}, "colour.variants"),
        ({"targeting": {"if": [{"in": ["A"]}, "on"]}}, "colour.targeting.if[0].in"),
        (
            {"targeting": {"if": [{"in": [{"var": "zone"}, []]}, "on"]}},
            "colour.targeting.if[0].in[0].var",
        ),
        (
            {"targeting": {"if": [{"==": [{"var": "$flagd.timestamp"}, 1]}, "on"]}},
            "colour.targeting.if[0].==[0].var",
        ),
        (
            {"targeting": {"if": [{"sem_ver": ["1", "=", "1"]}, "on"]}},
            "colour.targeting.if[0].sem_ver",
        ),
    ],
)
def test_a_bad_definition_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_definition(FLAG, GOOD | change)
    assert refused.value.field == place


@pytest.mark.parametrize("given_json", [None, [], "on", 1])
def test_what_is_no_object_is_refused(given_json: object) -> None:
    with pytest.raises(InvalidInputError, match="JSON object"):
        check_definition(FLAG, given_json)


def test_a_definition_nested_too_deep_is_refused() -> None:
    targeting: Any = "on"
    for _ in range(30):
        targeting = {"if": [True, targeting]}
    with pytest.raises(InvalidInputError, match="nested"):
        check_definition(FLAG, GOOD | {"targeting": targeting})


codes = st.text("ABC123", min_size=6, max_size=6)
splits = st.builds(
    Split,
    base=st.just("red"),
    value=st.sampled_from([None, "green", "blue"]),
    buckets=st.integers(0, BUCKETS),
    chosen=st.dictionaries(codes, st.sampled_from(FLAG.values), max_size=5),
    keep=st.booleans(),
).map(lambda split: Split(split.base, chosen=split.chosen, keep=split.keep)
      if split.value is None else split)  # fmt: skip


@given(splits)
def test_a_split_is_written_and_read_again(split: Split) -> None:
    definition = check_definition(FLAG, definition_of(FLAG, split))
    assert split_of(FLAG, definition) == split


def test_a_definition_by_hand_is_no_split() -> None:
    assert split_of(FLAG, GOOD) is None
    assert split_of(FLAG, {"state": "ENABLED"}) is None
    assert split_of(FLAG, None) == Split("red")


@pytest.mark.parametrize("percent", [-1, 100.1, float("nan"), float("inf")])
def test_a_share_is_from_0_to_100(percent: float) -> None:
    with pytest.raises(InvalidInputError, match="share"):
        buckets_of(percent)


def test_an_unknown_flag_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownFlagError, match="the flags are driver, planner"):
        known_flag("plannner")
    assert all(flag.default in flag.values for flag in KNOWN.values())

"""Flags on a real database: shares, kept displays, history, and what a change puts on its way."""

import json
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import openfeature.api
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.flags.definition import check_definition
from sorafeed_assets.domain.flags.known import KnownFlag, UnknownFlagError
from sorafeed_assets.domain.flags.split import BUCKETS, Split, definition_of
from sorafeed_assets.services.flags import Flags, FlagValues, ReasonKind
from sorafeed_assets.services.flags import flags as flags_module
from sorafeed_assets.services.flags.provider import FlagsProvider
from sorafeed_assets.services.flags.values import bucket_of
from sorafeed_assets.storage.flags.versions import StoredVersion
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets_tests.wall import add_display

FLAG = KnownFlag("colour", ("red", "green", "blue"), "red", "the colour of a test")
QUIET = KnownFlag("sound", ("off", "on"), "off", "a flag without displays", is_published=False)
KNOWN = {FLAG.key: FLAG, QUIET.key: QUIET}
CODES = [f"DISP{number:02}" for number in range(40)]
WALL = [f"{number:06}" for number in range(400)]


def _values(split: Split, kept: dict[tuple[str, str], str] | None = None) -> FlagValues:
    stored = [StoredVersion(FLAG.key, 1, definition_of(FLAG, split))]
    return FlagValues(1, stored, kept, KNOWN)


@given(st.lists(st.integers(0, BUCKETS), min_size=2, max_size=5).map(sorted))
@settings(max_examples=25, deadline=None)
def test_a_display_stays_in_while_the_share_grows(shares: list[int]) -> None:
    inside: set[str] = set()
    for buckets in shares:
        now = _values(Split("red", "green", buckets)).in_share(FLAG.key, WALL)
        assert inside <= now
        inside = now


def test_a_share_is_about_as_large_as_it_says() -> None:
    for percent in (0, 10, 50, 100):
        found = _values(Split("red", "green", percent * 100)).in_share(FLAG.key, WALL)
        assert abs(len(found) - len(WALL) * percent / 100) <= 25
        assert percent not in {0, 100} or len(found) == len(WALL) * percent / 100


def test_flags_have_buckets_of_their_own() -> None:
    buckets = {key: [bucket_of(KNOWN[key], code) for code in CODES] for key in KNOWN}
    assert buckets[FLAG.key] != buckets[QUIET.key]


@given(st.sampled_from(WALL), st.integers(0, BUCKETS))
@settings(max_examples=25, deadline=None)
def test_the_bucket_says_which_shares_a_display_is_in(code: str, buckets: int) -> None:
    value = _values(Split("red", "green", buckets)).value(FLAG.key, code)
    assert (value == "green") is (bucket_of(FLAG, code) < buckets)


_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats()
_conditions = st.recursive(
    _scalars | st.just({"var": "targetingKey"}),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(
            st.sampled_from(["==", "!=", "!", "and", "or", "in", "starts_with", "ends_with", "if"]),
            inner | st.lists(inner, max_size=4),
        ).map(lambda pair: {pair[0]: pair[1]})
    ),
    max_leaves=8,
)
_shares = st.lists(
    st.tuples(st.sampled_from(FLAG.values), st.integers(-1, 9)).map(list), max_size=4
).map(lambda entries: {"fractional": entries})
_targetings = st.recursive(
    st.none() | st.sampled_from([*FLAG.values, "yellow"]) | _shares,
    lambda inner: st.lists(st.one_of(_conditions, inner), max_size=5).map(lambda a: {"if": a}),
    max_leaves=6,
)


@given(_targetings, st.sampled_from(WALL))
@settings(max_examples=300, deadline=None)
def test_what_is_accepted_has_a_value_for_every_display(targeting: Any, code: str) -> None:
    definition = {
        "state": "ENABLED",
        "variants": {value: value for value in FLAG.values},
        "defaultVariant": "red",
        "targeting": targeting,
    }
    try:
        check_definition(FLAG, definition)
    except InvalidInputError:
        return
    values = FlagValues(1, [StoredVersion(FLAG.key, 1, definition)], None, KNOWN)
    assert values.value(FLAG.key, code) in FLAG.values


def test_openfeatures_client_can_use_the_provider() -> None:
    definition = definition_of(FLAG, Split("red", "green", BUCKETS // 2, {"HALL01": "blue"}))
    openfeature.api.set_provider_and_wait(FlagsProvider({FLAG.key: definition}, {}), "test")
    client = openfeature.api.get_client("test")
    assert client.get_string_value(FLAG.key, "none", EvaluationContext("HALL01")) == "blue"
    assert client.get_boolean_details(FLAG.key, True).error_code == ErrorCode.TYPE_MISMATCH
    assert client.get_string_details("size", "none").error_code == ErrorCode.FLAG_NOT_FOUND
    openfeature.api.clear_providers()


@pytest.fixture
def flags(engine: Engine) -> Flags:
    for code in CODES:
        add_display(engine, code)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM display_changes"))
    return Flags(engine, KNOWN)


def test_without_a_definition_the_default_of_the_code_counts(flags: Flags) -> None:
    assert flags.values("colour", CODES) == dict.fromkeys(CODES, "red")
    assert flags.share("colour") == 0
    reason = flags.why("colour", "DISP00")
    assert (reason.kind, reason.version) == (ReasonKind.DEFAULT, 0)


def test_an_unknown_flag_is_an_error(flags: Flags, engine: Engine) -> None:
    for ask in (
        lambda: flags.value("color", "DISP00"),
        lambda: flags.why("color", "DISP00"),
        lambda: flags.share("color"),
        lambda: flags.in_share("color", CODES),
    ):
        with pytest.raises(UnknownFlagError, match="color"):
            ask()
    with engine.begin() as connection, pytest.raises(UnknownFlagError, match="color"):
        flags.set_share(connection, "color", 10, by="test", why="a typo")


def test_a_share_notes_exactly_the_displays_whose_value_changes(
    flags: Flags, engine: Engine
) -> None:
    with engine.begin() as connection:
        first = flags.set_share(connection, "colour", 30, value="green", by="test", why="begin")
    with engine.begin() as connection:
        assert set(changed_displays(connection)) == set(first.displays)
        connection.execute(text("DELETE FROM display_changes"))
    assert first.version == 1
    assert flags.at_once().in_share("colour", CODES) == set(first.displays)
    assert 0 < len(first.displays) < len(CODES)
    with engine.begin() as connection:
        second = flags.set_share(connection, "colour", 60, by="test", why="go on")
    with engine.connect() as connection:
        assert set(changed_displays(connection)) == set(second.displays)
    assert set(second.displays.values()) == {("red", "green")}
    assert not set(second.displays) & set(first.displays)


def test_a_rolled_back_change_was_never_made(flags: Flags, engine: Engine) -> None:
    with engine.connect() as connection:
        flags.set_share(connection, "colour", 100, value="blue", by="test", why="never mind")
        assert flags.at(connection).share("colour") == 100
        connection.rollback()
    assert flags.at_once().share("colour") == 0
    assert flags.values("colour", CODES) == dict.fromkeys(CODES, "red")


def test_the_same_definition_again_writes_nothing(flags: Flags, engine: Engine) -> None:
    for version in (1, None):
        with engine.begin() as connection:
            change = flags.set_share(connection, "colour", 30, value="green", by="a", why="b")
        assert change.version == version
    with engine.connect() as connection:
        assert len(flags.history(connection, "colour")) == 1


def test_a_shrinking_share_keeps_its_displays_if_so_configured(
    flags: Flags, engine: Engine
) -> None:
    with engine.begin() as connection:
        flags.set_share(connection, "colour", 60, value="green", keep=True, by="test", why="go")
    inside = flags.at_once().in_share("colour", CODES)
    with engine.begin() as connection:
        shrunk = flags.set_share(connection, "colour", 20, by="test", why="less")
    assert not shrunk.displays
    assert flags.at_once().in_share("colour", CODES) == inside
    kinds = {flags.why("colour", code).kind for code in inside}
    assert kinds == {ReasonKind.IN_SHARE, ReasonKind.KEPT}
    with engine.begin() as connection:
        ended = flags.set_share(connection, "colour", 0, keep=False, by="test", why="roll back")
    assert set(ended.displays) == inside
    assert flags.at_once().in_share("colour", CODES) == set()


def test_a_disabled_flag_keeps_no_display_in(flags: Flags, engine: Engine) -> None:
    for percent in (60, 20):
        with engine.begin() as connection:
            flags.set_share(
                connection, "colour", percent, value="green", keep=True, by="test", why="x"
            )
    inside = flags.at_once().in_share("colour", CODES)
    off = {**(flags.at_once().definition("colour") or {}), "state": "DISABLED"}
    with engine.begin() as connection:
        change = flags.set_definition(connection, "colour", off, by="test", why="off")
    assert set(change.displays) == inside
    assert change.kept == []
    assert flags.at_once().values("colour", CODES) == dict.fromkeys(CODES, "red")
    assert flags.why("colour", min(inside)).kind is ReasonKind.DEFAULT


def test_a_shrinking_share_drops_its_displays_otherwise(flags: Flags, engine: Engine) -> None:
    with engine.begin() as connection:
        flags.set_share(connection, "colour", 60, value="green", by="test", why="go")
    inside = flags.at_once().in_share("colour", CODES)
    with engine.begin() as connection:
        shrunk = flags.set_share(connection, "colour", 20, by="test", why="less")
    left = flags.at_once().in_share("colour", CODES)
    assert left < inside
    assert set(shrunk.displays) == inside - left


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=6))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_with_keep_no_display_ever_leaves(
    flags: Flags, engine: Engine, steps: list[tuple[int, bool]]
) -> None:
    with engine.begin() as connection:
        flags.set_all(connection, "colour", "red", by="test", why="begin")
    for percent, keep in steps:
        before = flags.at_once().in_share("colour", CODES)
        with engine.begin() as connection:
            flags.set_share(
                connection, "colour", percent, value="green", keep=keep, by="test", why="step"
            )
        after = flags.at_once().in_share("colour", CODES)
        by_bucket = {code for code in CODES if bucket_of(FLAG, code) < percent * 100}
        assert after == (before | by_bucket if keep else by_bucket)


def test_displays_chosen_by_name_are_not_the_shares(flags: Flags, engine: Engine) -> None:
    with engine.begin() as connection:
        flags.set_displays(connection, "colour", ["DISP00"], "blue", by="test", why="one")
    with engine.begin() as connection:
        flags.set_displays(connection, "colour", ["DISP01"], "red", by="test", why="two")
        flags.set_share(connection, "colour", 100, value="green", by="test", why="the rest")
    values = flags.at_once().values("colour", CODES)
    assert (values.pop("DISP00"), values.pop("DISP01")) == ("blue", "red")
    assert set(values.values()) == {"green"}
    assert flags.why("colour", "DISP01").kind is ReasonKind.CHOSEN
    with engine.begin() as connection:
        change = flags.set_all(connection, "colour", "green", by="test", why="all")
    assert set(change.displays) == {"DISP00", "DISP01"}
    assert flags.at_once().why("colour", "DISP01").kind is ReasonKind.ALL


def test_bad_input_is_refused_before_anything_is_written(flags: Flags, engine: Engine) -> None:
    by, why = "test", "a reason"
    with engine.begin() as connection:
        with pytest.raises(InvalidInputError, match="NOHALL"):
            flags.set_displays(connection, "colour", ["NOHALL"], "blue", by=by, why=why)
        with pytest.raises(InvalidInputError, match="red, green, blue"):
            flags.set_all(connection, "colour", "yellow", by=by, why=why)
        with pytest.raises(InvalidInputError, match="green, blue"):
            flags.set_share(connection, "colour", 10, by=by, why=why)
        with pytest.raises(InvalidInputError, match="the value of all other"):
            flags.set_share(connection, "colour", 10, value="red", by=by, why=why)
        with pytest.raises(InvalidInputError, match="why"):
            flags.set_all(connection, "colour", "blue", by=by, why=" ")
        with pytest.raises(InvalidInputError, match="NUL"):
            flags.set_all(connection, "colour", "blue", by=by, why="a\x00b")
        with pytest.raises(InvalidInputError, match=r"colour\.state"):
            flags.set_definition(connection, "colour", {}, by=by, why=why)
        assert flags.history(connection) == []


def test_a_definition_by_hand_is_evaluated_and_not_overwritten_by_a_share(
    flags: Flags, engine: Engine
) -> None:
    by_hand = {
        "state": "ENABLED",
        "variants": {"one": "green", "two": "red"},
        "defaultVariant": "two",
        "targeting": {"if": [{"ends_with": [{"var": "targetingKey"}, "7"]}, "one"]},
    }
    with engine.begin() as connection:
        change = flags.set_definition(
            connection, "colour", json.loads(json.dumps(by_hand)), by="test", why="sevens"
        )
    assert set(change.displays) == {code for code in CODES if code.endswith("7")}
    assert flags.at_once().why("colour", "DISP07").kind is ReasonKind.RULE
    with engine.begin() as connection, pytest.raises(InvalidInputError, match="by hand"):
        flags.set_share(connection, "colour", 10, value="green", by="test", why="no")
    with engine.begin() as connection:
        flags.set_definition(
            connection, "colour", by_hand | {"state": "DISABLED"}, by="test", why="off"
        )
    assert flags.at_once().value("colour", "DISP07") == "red"
    assert flags.why("colour", "DISP07").kind is ReasonKind.DEFAULT


def test_the_history_says_who_when_why_before_and_after(flags: Flags, engine: Engine) -> None:
    with engine.begin() as connection:
        flags.set_all(connection, "colour", "green", by="alice", why="greener")
    with engine.begin() as connection:
        flags.set_share(connection, "colour", 50, value="blue", by="rollout", why="step 1")
    with engine.connect() as connection:
        last, first = flags.history(connection, "colour")
        assert flags.history(connection, "sound") == []
    assert (first.changed_by, first.reason, first.before) == ("alice", "greener", None)
    assert first.displays == len(CODES)
    assert (last.changed_by, last.version) == ("rollout", 2)
    assert last.before == first.after
    assert last.after == definition_of(FLAG, Split("green", "blue", BUCKETS // 2))
    assert last.changed_at > first.changed_at


def test_a_flag_without_displays_notes_none(flags: Flags, engine: Engine) -> None:
    with engine.begin() as connection:
        change = flags.set_all(connection, "sound", "on", by="test", why="louder")
    assert len(change.displays) == len(CODES)
    with engine.connect() as connection:
        assert changed_displays(connection) == {}


def test_another_process_hears_of_a_change(flags: Flags, engine: Engine) -> None:
    other = Flags(engine, KNOWN)
    assert other.value("colour", "DISP00") == "red"
    with engine.begin() as connection:
        flags.set_all(connection, "colour", "blue", by="test", why="all")
    deadline = monotonic() + 30
    while other.value("colour", "DISP00") != "blue":
        assert monotonic() < deadline
        sleep(0.05)
    with engine.connect() as connection:
        assert Flags(engine, KNOWN).at(connection).value("colour", "DISP00") == "blue"


def test_an_answer_is_never_older_than_a_second(
    flags: Flags, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(flags_module, "time", SimpleNamespace(monotonic=lambda: now))
    other = Flags(engine, KNOWN)
    assert other.value("colour", "DISP00") == "red"
    with engine.begin() as connection:
        flags.set_all(connection, "colour", "blue", by="test", why="all")
    # Kept for a moment, so that players cost no query each.
    assert other.value("colour", "DISP00") == "red"
    now += 1.0
    assert other.value("colour", "DISP00") == "blue"


def test_a_definition_that_plain_sql_broke_is_an_error_not_a_default(
    flags: Flags, engine: Engine
) -> None:
    broken = json.dumps({"state": "ENABLED", "variants": {"a": "red"}, "defaultVariant": "b"})
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO flag_versions (flag, version, definition, changed_by, reason,"
                " displays) VALUES ('colour', 1, CAST(:broken AS jsonb), 'sql', 'by hand', 0)"
            ),
            {"broken": broken},
        )
    with pytest.raises(SorafeedError, match="flag colour cannot be evaluated"):
        flags.at_once().value("colour", "DISP00")

"""The pure rules of an import."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.legacy.merge import Merge, merge
from sorafeed_assets.domain.legacy.posts import stored_post
from sorafeed_assets.domain.legacy.queues import PlayReader, read_wall
from sorafeed_assets.domain.legacy.values import clean_text, id_of, is_true, moment, whole
from sorafeed_assets.domain.text import check_storable

_ANY = st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary(), st.booleans())
_DIGEST = st.sampled_from(["a", "b", "c"])


@given(st.none() | _DIGEST, _DIGEST, st.none() | _DIGEST)
def test_merging_never_overwrites_a_change_of_ours(
    base: str | None, old: str, ours: str | None
) -> None:
    decided = merge(base, old, ours)
    if decided is Merge.TAKE_OLD:
        assert ours == base
        assert old != ours
    elif decided is Merge.CONFLICT:
        assert len({base, old, ours}) == 3
    elif decided is Merge.KEEP_OURS:
        assert base == old != ours
    else:
        assert old == ours


@given(_DIGEST, st.none() | _DIGEST)
def test_merging_again_changes_nothing(old: str, base: str | None) -> None:
    # What was taken is what both sides have then.
    assert merge(base, old, base) in {Merge.TAKE_OLD, Merge.SAME}
    assert merge(old, old, old) is Merge.SAME


@pytest.mark.parametrize(
    "value",
    [
        *("2025-10-23 20:17:26", "2025-10-23T20:17:26Z", "2025-10-23T22:17:26+02:00"),
        *(1_761_250_646, 1_761_250_646.0, "1761250646", 1_761_250_646_000),
    ],
)
def test_times_in_every_form(value: object) -> None:
    assert moment(value) == datetime(2025, 10, 23, 20, 17, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", 0, -1, "0", "0001-01-01", "9999-12-31", "nan", 1e400, True]
)
def test_what_is_no_time(value: object) -> None:
    assert moment(value) is None


@given(_ANY, _ANY, _ANY)
def test_any_value_is_read(value: object, other: object, third: object) -> None:
    at = moment(value)
    assert at is None or at.tzinfo is UTC
    assert 0 <= whole(value, 7) < 2**31
    assert is_true(value) in {True, False}
    check_storable(clean_text(value), "value")
    assert id_of("play", value) == id_of("play", value)
    row = dict.fromkeys(
        (
            *("id", "display_id", "name", "created_at", "is_active", "loop_count", "playlist_id"),
            *("search_term", "video_count", "fetch_mode", "format", "block_order", "block_id"),
            *("times_played", "last_played_at", "video_id", "loop_iteration", "played_at"),
        ),
        value,
    )
    rows = [row, {**row, "id": other}, {**row, "id": "HALL01", "display_id": "HALL01"}]
    wall = read_wall(rows, rows, [{**row, "search_term": third}])
    plays = PlayReader(wall.refused)
    assert plays.found == 0 == len(plays.problems)
    taken = list(plays.read(rows))
    assert plays.found == len(taken) <= len(rows)
    assert (len(taken) < len(rows)) == bool(plays.problems)
    assert set(wall.active()) == set(wall.displays)
    assert {each.display_id for each in wall.playlists.values()} <= set(wall.displays)


def test_ids_are_kept() -> None:
    known = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
    assert id_of("play", known) == UUID(known)
    assert id_of("play", "x") != id_of("block", "x")


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "post",
                    "profile",
                    "text",
                    "posted_at",
                    "attachments",
                    "encodings",
                    "source",
                    "path",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_video_data_is_read(data: object) -> None:
    post = stored_post("v", json.dumps(data), None)
    assert (post is None) == (not isinstance(data, dict))
    if post is not None:
        for text in (post.text, post.video_url, post.permalink):
            check_storable(text or "", "text")


def test_video_data_that_is_no_json() -> None:
    assert stored_post("v", "{", None) is None
    assert stored_post("v", "[" * 100_000, None) is None

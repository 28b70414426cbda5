"""Cursors are untrusted input: each is read as a sort key, or refused by name."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.paging import PageList
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.records import Page
from sorafeed_assets.storage.lists import DisplayOrder

Read = Callable[[Queries, str], Page[Any]]
LISTS: dict[str, tuple[PageList, Read]] = {
    "code": (
        PageList("displays", DisplayOrder.CODE, None),
        lambda reads, after: reads.display_page(DisplayOrder.CODE, None, 5, after),
    ),
    "newest": (
        PageList("displays", DisplayOrder.NEWEST, None),
        lambda reads, after: reads.display_page(DisplayOrder.NEWEST, None, 5, after),
    ),
    "playlists": (
        PageList("playlists", "AAAAAA"),
        lambda reads, after: reads.playlists_of(["AAAAAA"], 5, after)["AAAAAA"],
    ),
    "plays": (PageList("plays", "AAAAAA"), lambda reads, after: reads.plays("AAAAAA", 5, after)),
    "terms": (PageList("terms", None), lambda reads, after: reads.terms(None, 5, after)),
    "posts": (
        PageList("posts", "cat", Format.MIXED),
        lambda reads, after: reads.matching_posts("cat", Format.MIXED, 5, after),
    ),
}
_UUID = "00000000-0000-0000-0000-000000000000"
_PARTS = st.one_of(
    st.integers(),
    st.text(st.characters(), max_size=30),
    st.datetimes().map(str),
    st.uuids().map(str),
    st.sampled_from(["infinity", "2026-W01-1", "0001-01-01T00:00:00+23:59", "\x00", "\ud800"]),
)


@pytest.mark.parametrize("name", LISTS)
@given(key=st.lists(_PARTS, min_size=1, max_size=3))
@example(key=["\x00"])
@example(key=["\ud800"])
@example(key=["x", "y"])
@example(key=["2026-01-01T00:00:00", "y"])
@example(key=["x", _UUID])
@example(key=["0001-01-01T00:00:00+23:59", _UUID])
@example(key=["2026-01-01T00:00:00+00:00", "\x00"])
@example(key=["2026-01-01T00:00:00+23:59", _UUID])
@settings(max_examples=60, deadline=None)
def test_a_forged_cursor_is_refused_by_name(
    session_engine: Engine, name: str, key: list[str | int]
) -> None:
    of, read = LISTS[name]
    packed = json.dumps([of._mark, *key]).encode()
    try:
        page = read(Queries(session_engine), base64.urlsafe_b64encode(packed).decode())
    except InvalidInputError as error:
        assert error.field == "after"  # noqa: PT017  # either is right
    else:
        assert page.rows == []

"""Posts found by words, and the displays that play them, equal a search by hand."""

import re
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.timelines.found_posts import MOST, find_posts
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, run

_WORDS: Final = ("cat", "cats", "dog", "a", "the", "Über", "naïve", "x1")
_TEXTS: Final = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=5).map(" ".join)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(_TEXTS, max_size=8), wanted=st.sampled_from(_WORDS))
def test_a_word_finds_the_posts_that_have_it(engine: Engine, texts: list[str], wanted: str) -> None:
    run(engine, "DELETE FROM sora_posts")
    for number, text in enumerate(texts):
        run(
            engine,
            "INSERT INTO sora_posts (id, text, posted_at) VALUES"
            " (:id, :text, timestamptz '2026-01-01 00:00+00' + :at * interval '1 minute')",
            id=f"p{number}",
            text=text,
            at=number,
        )
    expected = [
        f"p{number}"
        for number, text in reversed(list(enumerate(texts)))
        if wanted.lower() in text.lower().split()
    ]
    assert [found.post.id for found in find_posts(engine, wanted)] == expected


@pytest.fixture
def wall(engine: Engine) -> Engine:
    add_posts(engine, "cats", 3)
    add_posts(engine, "tall cats", 2, start=10, size=(352, 640))
    for code, lines in (
        ("AAAAA1", [("Cats", 2), ("cats", 1, "newest", "tall")]),
        ("BBBBB2", [("at", 1, "random")]),
        ("CCCCC3", [("unicorns", 1), ("cats -tall", 1)]),
        ("DDDDD4", [("cats", 1)]),
    ):
        add_display(engine, code)
        add_playlist(engine, code, lines)  # type: ignore[arg-type]  # lines of several lengths
    run(engine, "UPDATE playlists SET is_active = false WHERE display_id = 'DDDDD4'")
    TimelineService(engine).repopulate(["AAAAA1", "CCCCC3"])
    return engine


def test_a_post_names_the_searches_and_displays_that_play_it(wall: Engine) -> None:
    found = {each.post.id: each for each in find_posts(wall, "cats")}
    assert list(found) == ["tall cats-0011", "tall cats-0010", *(f"cats-000{n}" for n in (2, 1, 0))]
    tall, wide = found["tall cats-0011"], found["cats-0002"]
    assert [(b.search_term, b.format, b.displays) for b in tall.blocks] == [
        ("cats", Format.MIXED, ("AAAAA1",)),
        ("cats", Format.TALL, ("AAAAA1",)),
        ("at", Format.MIXED, ("BBBBB2",)),
    ]
    assert [(b.search_term, b.displays) for b in wide.blocks] == [
        ("cats", ("AAAAA1",)),
        ("at", ("BBBBB2",)),
        ("cats -tall", ("CCCCC3",)),
    ]
    assert "AAAAA1" in tall.queued_on
    assert wide.queued_on == ("AAAAA1", "CCCCC3") or wide.queued_on == ("CCCCC3",)


def test_words_are_as_people_type_them(wall: Engine) -> None:
    ids = [each.post.id for each in find_posts(wall, 'cats -tall or "tall cats"')]
    assert len(ids) == 5
    assert [each.post.id for each in find_posts(wall, "CATS -tall")] == [
        "cats-0002",
        "cats-0001",
        "cats-0000",
    ]
    assert find_posts(wall, "cat") == []  # a whole word
    for unusual in ('"', "cats:*", "a & | b", "(((", "\\'"):
        try:
            find_posts(wall, unusual)
        except InvalidInputError:
            assert not re.search(r"\w", unusual)


@pytest.mark.parametrize("words", ["-", "  ", "!?", "x" * 201, "a\x00b"])
def test_what_is_no_search_is_refused(engine: Engine, words: str) -> None:
    with pytest.raises(InvalidInputError, match="words: "):
        find_posts(engine, words)


def test_only_the_newest_are_found(engine: Engine) -> None:
    add_posts(engine, "cats", MOST + 5)
    found = find_posts(engine, "cats")
    assert [each.post.id for each in found] == [f"cats-{n:04}" for n in range(MOST + 4, 4, -1)]

"""The demo catalogue is the same for the same seed, and looks like the real one."""

from datetime import UTC, date, datetime, timedelta
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.demo.catalogue import (
    Part,
    Post,
    creators_for,
    days_up_to,
    generate_creators,
    generate_day,
    generate_part,
    post_ids,
    posts_of_day,
    whole_days,
)
from sorafeed_assets.demo.text import ABSENT_PHRASES, PLANTED_COUNTS, PLANTED_SHARES
from sorafeed_assets.domain.catalog.search import fold

_DAY = date(2026, 3, 1)
_COUNT = 5000


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    return list(generate_day(_DAY, _COUNT, 1))


def _share(posts: list[Post], wanted: str) -> float:
    return sum(wanted in post.text for post in posts) / len(posts)


def test_the_same_arguments_give_the_same_rows(posts: list[Post]) -> None:
    assert list(generate_day(_DAY, _COUNT, 1)) == posts
    for part in (Part(_DAY, _COUNT, 0, _COUNT), Part(_DAY, _COUNT, 40, 60)):
        assert post_ids(part, 1) == [post.id for post in posts[part.start : part.stop]]
        assert list(generate_part(part, 1)) == posts[part.start : part.stop]


@pytest.mark.parametrize(("day", "seed"), [(_DAY, 2), (_DAY + timedelta(days=1), 1)])
def test_other_days_and_seeds_give_other_rows(posts: list[Post], day: date, seed: int) -> None:
    other = list(generate_day(day, _COUNT, seed))
    assert not {post.id for post in posts} & {post.id for post in other}
    assert len({post.text for post in posts} & {post.text for post in other}) < _COUNT / 100


def test_lengths_are_like_the_real_ones(posts: list[Post]) -> None:
    lengths = [len(post.text) for post in posts]
    assert min(lengths) >= 19
    assert max(lengths) == 2000
    assert median(lengths) == pytest.approx(244, rel=0.08)
    assert mean(lengths) == pytest.approx(480, rel=0.08)


def test_characters_are_like_the_real_ones(posts: list[Post]) -> None:
    beyond = sum(not post.text.isascii() for post in posts) / _COUNT
    emoji = sum(any(ord(letter) > 0x1F000 for letter in post.text) for post in posts) / _COUNT
    assert beyond == pytest.approx(0.4, abs=0.03)
    assert emoji == pytest.approx(0.025, abs=0.01)
    assert _share(posts, "\n") == pytest.approx(0.3, abs=0.03)
    assert _share(posts, "\t") == pytest.approx(0.03, abs=0.01)
    for wanted in ("@", '"', "“", "’", "%", "_", "\\", "ё", "İ", "ς", "雨"):
        assert _share(posts, wanted) > 0.002, wanted


def test_sizes_are_like_the_real_ones(posts: list[Post]) -> None:
    sizes = [(post.width, post.height) for post in posts]
    shares = {size: sizes.count(size) / _COUNT for size in set(sizes)}
    assert shares[640, 352] + shares[352, 640] > 0.8
    assert {(896, 512), (640, 640), (None, None), (0, 0)} <= shares.keys()


def test_ids_and_times_agree(posts: list[Post]) -> None:
    assert len({post.id for post in posts}) == _COUNT
    assert [post.indexed_at for post in posts] == sorted(post.indexed_at for post in posts)
    for post in posts:
        assert post.indexed_at.date() == _DAY
        assert timedelta(0) < post.indexed_at - post.posted_at <= timedelta(hours=1)
        assert len(post.id) == 34
        second = datetime.fromtimestamp(int(post.id[2:10], 16), UTC)
        assert second == post.posted_at.replace(microsecond=0)


def test_phrases_are_as_frequent_as_planted(posts: list[Post]) -> None:
    folded = [fold(post.text) for post in posts]

    def count(phrase: str) -> int:
        return sum(fold(phrase) in text for text in folded)

    for phrase, share in PLANTED_SHARES.items():
        assert count(phrase) == pytest.approx(share * _COUNT, rel=0.25, abs=10), phrase
    for phrase, number in PLANTED_COUNTS.items():
        assert count(phrase) == pytest.approx(number / 26, rel=0.5, abs=4), phrase
    for phrase in ABSENT_PHRASES:
        assert count(phrase) == 0, phrase


def test_a_rare_phrase_stays_rare_over_all_days() -> None:
    days = [list(generate_day(_DAY + timedelta(days=n), 1000, 1)) for n in range(26)]
    found = sum("lighthouse of neptune" in fold(post.text) for day in days for post in day)
    assert 3 <= found <= 20


def test_creators_are_the_same_in_any_batch(posts: list[Post]) -> None:
    creators = list(generate_creators(0, creators_for(_COUNT), 1))
    assert creators[100:110] == list(generate_creators(100, 10, 1))
    assert len({creator.id for creator in creators}) == len(creators)
    assert {post.creator_id for post in posts} <= {creator.id for creator in creators}


@given(st.dates(), st.integers(1, 10_000), st.integers(1, 40))
def test_any_days_in_a_row_have_all_posts(last: date, posts: int, days: int) -> None:
    wanted = [date.fromordinal(max(last.toordinal() - n, 1)) for n in range(days)]
    if wanted[-1] > date.min:
        assert sum(posts_of_day(day, posts, days) for day in wanted) == posts


@given(st.timedeltas(timedelta(), timedelta(days=365)), st.integers(1, 300))
def test_a_catalogue_up_to_now_has_all_posts_and_none_that_is_later(
    passed: timedelta, posts: int
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + passed
    parts = days_up_to(now, posts, 26, 1)
    assert sum(part.stop - part.start for part in parts) == posts
    assert [part.day for part in parts[1:]] == [part.day for part in whole_days(now.date(), 1, 26)]
    *_, today = parts
    times = [post.indexed_at for post in generate_day(today.day, today.posts, 1)]
    assert all(time <= now for time in times[: today.stop])
    assert all(time > now for time in times[today.stop :])


@pytest.mark.parametrize("count", [0, 1])
def test_tiny_days_work(count: int) -> None:
    assert len(list(generate_day(_DAY, count, 0))) == count

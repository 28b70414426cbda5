"""The keyed shuffle: deterministic, different by key, stable when a post is added."""

from collections.abc import Iterable
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.timelines.shuffle import Page, Shuffled, make_page, shuffle_key


def page_of(found: Iterable[tuple[str, int]]) -> Page:
    ordered = sorted(found, key=lambda row: (row[1], row[0]))
    return make_page([post_id for post_id, _ in ordered], [id_hash for _, id_hash in ordered])


rows = st.dictionaries(
    st.text(min_size=1, max_size=5), st.integers(-(2**63), 2**63 - 1), min_size=1
)
keys = st.integers(0, 2**64 - 1)


@given(rows, keys)
def test_a_shuffle_loses_nothing_and_repeats_itself(found: dict[str, int], key: int) -> None:
    order = list(Shuffled([page_of(found.items())], key))
    assert sorted(order) == sorted(found)
    assert list(Shuffled([page_of(reversed(found.items()))], key)) == order


@given(rows, keys)
def test_one_more_post_moves_only_itself(found: dict[str, int], key: int) -> None:
    order = list(Shuffled([page_of(found.items())], key))
    for extra in found:
        rest = {post: id_hash for post, id_hash in found.items() if post != extra}
        assert list(Shuffled([page_of(rest.items())], key)) == [p for p in order if p != extra]


@given(st.sets(st.text(min_size=1), min_size=1), st.integers(-(2**63), 2**63 - 1), keys)
def test_equal_hashes_play_in_order_of_their_ids(ids: set[str], id_hash: int, key: int) -> None:
    assert list(Shuffled([page_of((post, id_hash) for post in ids)], key)) == sorted(ids)


def test_pages_follow_each_other() -> None:
    first = page_of([("a", 1), ("b", 2)])
    second = page_of([("c", 3), ("d", 4)])
    order = list(Shuffled([first, second], 7))
    assert set(order[:2]) == {"a", "b"}
    assert set(order[2:]) == {"c", "d"}


def test_displays_blocks_and_loops_shuffle_differently() -> None:
    page = page_of((f"p{number}", number) for number in range(50))
    places = [("AAAAAA", 1, 0), ("BBBBBB", 1, 0), ("AAAAAA", 2, 0), ("AAAAAA", 1, 1)]
    keys = [shuffle_key(display, UUID(int=block), loop) for display, block, loop in places]
    assert len({tuple(Shuffled([page], key)) for key in keys}) == len(places)


def test_the_shuffle_is_the_same_on_every_machine() -> None:
    key = shuffle_key("AAAAAA", UUID(int=1), 0)
    assert key == 4980879944673614189
    assert list(Shuffled([page_of((c, ord(c)) for c in "abcdef")], key)) == [*"cbfdae"]

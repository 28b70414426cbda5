"""Sequences in parts of a bounded size."""

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.batches import batched


@given(st.text(), st.integers(1, 5))
def test_the_parts_are_the_whole_in_order(items: str, size: int) -> None:
    parts = list(batched(items, size))
    assert "".join(map(str, parts)) == items
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts)

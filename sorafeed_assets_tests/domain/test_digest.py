"""Fingerprints of content."""

from uuid import UUID

from sorafeed_assets.domain.digest import content_digest


def test_the_order_of_keys_does_not_matter_but_that_of_lists_does() -> None:
    assert content_digest({"a": 1, "b": [1, 2]}) == content_digest({"b": [1, 2], "a": 1})
    assert content_digest([1, 2]) != content_digest([2, 1])


def test_it_is_the_same_on_every_machine() -> None:
    value = {"é": UUID(int=7), "n": [1, None, True]}
    assert content_digest(value) == "3fa08b780eff5b6d9f55e854d99b50b3"

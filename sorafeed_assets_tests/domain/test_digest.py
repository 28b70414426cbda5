"""Fingerprints of content: the values are stored, so they never change."""

import random
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.digest import SetDigest, canonical_json, content_digest, text_digest
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode, playlist_version
from sorafeed_assets.domain.timelines.record import content_hash
from sorafeed_assets_tests.domain.plans import POSTS, TERMS, block, schedule_of


def test_the_order_of_keys_does_not_matter_but_that_of_lists_does() -> None:
    assert content_digest({"a": 1, "b": [1, 2]}) == content_digest({"b": [1, 2], "a": 1})
    assert content_digest([1, 2]) != content_digest([2, 1])


def test_it_is_the_same_on_every_machine() -> None:
    value = {"é": UUID(int=7), "n": [1, None, True]}
    assert content_digest(value) == "3fa08b780eff5b6d9f55e854d99b50b3"


def test_a_snapshot_has_the_text_it_always_had() -> None:
    value = {"videos": [{"text": 'ё "x"\n😀', "n": 1.5}], "build": None, "é": True}
    text = canonical_json(value)
    assert text == '{"build":null,"videos":[{"n":1.5,"text":"ё \\"x\\"\\n😀"}],"é":true}'
    assert text_digest(text) == "05306261bfae1d0180b726641cd793e8"


def test_a_snapshot_of_anything_but_json_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical_json({"at": datetime(2026, 1, 1, tzinfo=UTC)})


def test_a_playlist_has_the_version_it_always_had() -> None:
    blocks = [
        Block(UUID(int=9), 'é "b" -\\x 😀', 3, FetchMode.RANDOM, Format.TALL, 1),
        Block(UUID(int=4), "cats", 50, FetchMode.NEWEST, Format.MIXED, 0),
    ]
    assert playlist_version(blocks) == "01dbb8a13a984189607608a7f7d637fc"


def test_a_plan_has_the_hash_it_always_had() -> None:
    result, _ = schedule_of(
        [block(0, "cats", 3), block(1, "none", 2), block(2, "dogs", 4)],
        {"cats": ["c1", "é2"], "dogs": [f"d{n}" for n in range(9)]},
        {"c1": 5, "d0": 7, "d1": 6},
        window=20,
    )
    assert content_hash(result.schedule, "0123") == "5c85c0f28cd9210f5cad214e42e9fd3a"


def test_many_plans_have_the_hashes_they_always_had() -> None:
    rng = random.Random(11)  # noqa: S311  # cases, not secrets
    hashes = []
    for _ in range(300):
        blocks = [
            block(number, rng.choice(TERMS), rng.randint(1, 6))
            for number in range(rng.randint(1, 4))
        ]
        catalogue = {term: rng.sample(POSTS, rng.randint(0, len(POSTS))) for term in TERMS}
        played = {post: rng.randint(0, 4) for post in rng.sample(POSTS, rng.randint(0, 9))}
        result, _ = schedule_of(blocks, catalogue, played, window=rng.randint(1, 10))
        hashes.append(content_hash(result.schedule, playlist_version(blocks)))
    assert content_digest(hashes) == "cab508c7c2ea6260eddd5d65ac8a4029"


@given(st.lists(st.sets(st.text())))
def test_a_set_has_one_digest_whatever_its_history(states: list[set[str]]) -> None:
    digest, held = SetDigest(), set[str]()
    for state in states:
        digest = digest.changed(state - held, held - state)
        held = state
        assert digest == SetDigest().changed(held, ()) == SetDigest.parse(str(digest))


def test_a_set_has_the_digest_it_always_had() -> None:
    written = str(SetDigest().changed(["cat", "dog -é"], ()))
    assert written == "2-a29158f24040e5ddab4e6d30dccd6764"
    assert SetDigest.parse("none") is None
    assert SetDigest.parse(content_digest(["cat"])) is None

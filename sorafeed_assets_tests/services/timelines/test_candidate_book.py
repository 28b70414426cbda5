"""The book of candidates: pool or catalogue, the play order is the same."""

from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.blocklist import Kind, Target
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.excluding import exclude
from sorafeed_assets_tests.catalogue import add_posts, fill_pools, run


def block(mode: FetchMode, term: str = "cats") -> Block:
    return Block(UUID(int=1), term, 5, mode, Format.MIXED, 0)


def read(connection: Connection, asked: Block, pages: int, pool_size: int = 4) -> list[str]:
    """The candidates of a new book after a number of extensions."""
    book = CandidateBook(pool_size)
    book.prepare(connection, [book.query_of(asked)])
    for _ in range(pages):
        book.extend(connection, [book.query_of(asked)])
    return list(book.candidates("AAAAAA", asked, 0).ids)


@pytest.mark.parametrize("mode", FetchMode)
def test_a_pool_changes_nothing_about_the_order(engine: Engine, mode: FetchMode) -> None:
    add_posts(engine, "cats", 40)
    with engine.connect() as connection:
        without = [read(connection, block(mode), pages) for pages in range(4)]
    fill_pools(engine, "cats", 4)
    with engine.connect() as connection:
        assert [read(connection, block(mode), pages) for pages in range(4)] == without
    assert [len(ids) for ids in without] == [4, 12, 28, 40]
    for shorter, longer in pairwise(without):
        assert longer[: len(shorter)] == shorter


def test_the_catalogue_is_complete_when_a_page_is_short(engine: Engine) -> None:
    add_posts(engine, "cats", 9)
    fill_pools(engine, "cats", 4)
    asked = block(FetchMode.RANDOM)
    book = CandidateBook(4)
    with engine.connect() as connection:
        book.prepare(connection, [book.query_of(asked)])
        assert not book.candidates("AAAAAA", asked, 0).complete
        book.extend(connection, [book.query_of(asked)])
    found = book.candidates("AAAAAA", asked, 0)
    assert found.complete
    assert len(list(found.ids)) == len(set(found.ids)) == 9


@pytest.mark.parametrize("mode", FetchMode)
def test_a_pool_that_is_behind_the_catalogue(engine: Engine, mode: FetchMode) -> None:
    """Deleted posts never play; new ones are read when the pool does not suffice."""
    add_posts(engine, "cats", 12)
    fill_pools(engine, "cats", 4)
    asked = block(mode)
    before = run(engine, "SELECT post_id FROM video_candidates WHERE pool = :pool", pool=mode)
    gone = before[0].post_id
    run(engine, "DELETE FROM sora_posts WHERE id = :id", id=gone)
    add_posts(engine, "cats", 3, start=20)
    book = CandidateBook(4)
    query = book.query_of(asked)
    with engine.connect() as connection:
        book.prepare(connection, [query])
        picks = {(query, post_id) for post_id in book.candidates("AAAAAA", asked, 0).ids}
        assert book.drop_stale(connection, picks) == {(query, gone)}
        assert book.drop_stale(connection, picks - {(query, gone)}) == set()
        assert gone not in list(book.candidates("AAAAAA", asked, 0).ids)
        book.extend(connection, [query])
        book.extend(connection, [query])
    wanted = {row.id for row in run(engine, "SELECT id FROM sora_posts")}
    assert set(book.candidates("AAAAAA", asked, 0).ids) == wanted


@pytest.mark.parametrize("mode", FetchMode)
def test_a_pool_with_all_matches_is_complete_unless_one_waits(
    engine: Engine, mode: FetchMode
) -> None:
    add_posts(engine, "cats", 3)
    watch_term(engine, "cats")
    refresh_days(engine, None, pool_size=4)
    asked = block(mode)

    def prepared() -> tuple[bool, list[str]]:
        book = CandidateBook(4)
        with engine.connect() as connection:
            book.prepare(connection, [book.query_of(asked)])
        found = book.candidates("AAAAAA", asked, 0)
        return found.complete, sorted(found.ids)

    assert prepared() == (True, ["cats-0000", "cats-0001", "cats-0002"])
    add_posts(engine, "dogs", 1)
    assert prepared()[0]
    add_posts(engine, "cats", 1, start=3)
    assert prepared() == (False, ["cats-0000", "cats-0001", "cats-0002"])
    with engine.connect() as connection:
        assert sorted(read(connection, asked, 1)) == [f"cats-000{number}" for number in range(4)]


@pytest.mark.parametrize("mode", FetchMode)
def test_all_excluded_posts_of_a_pool_leave_at_once(engine: Engine, mode: FetchMode) -> None:
    """Otherwise a plan would be made again for each few of a creator's posts."""
    add_posts(engine, "cats", 12)
    run(engine, "UPDATE sora_posts SET creator_id = 'c2' WHERE id < 'cats-0010'")
    fill_pools(engine, "cats", 12)
    asked = block(mode)
    book = CandidateBook(12)
    query = book.query_of(asked)
    exclude(engine, Target(Kind.CREATOR, "c2"), by="a test")
    with engine.connect() as connection:
        book.prepare(connection, [query])
        assert len(list(book.candidates("AAAAAA", asked, 0).ids)) == 12
        assert book.drop_stale(connection, {(query, "cats-0011")}) == set()
        assert book.drop_stale(connection, {(query, "cats-0003")}) == {(query, "cats-0003")}
        assert set(book.candidates("AAAAAA", asked, 0).ids) == {"cats-0010", "cats-0011"}

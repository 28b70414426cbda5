"""Searches on two connections give the same pages as on one, and keep snapshots intact."""

from sqlalchemy import Engine, event

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.services.counts.searching import Wanted, read_pages
from sorafeed_assets.storage.catalog.matches import MatchQuery
from sorafeed_assets.storage.catalog.pages import read_page
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets_tests.catalogue import add_posts


def test_pages_come_in_the_order_asked_for(engine: Engine) -> None:
    words = [f"word{number}" for number in range(8)]
    for number, word in enumerate(words):
        add_posts(engine, word, number + 1)
    wanted: list[Wanted] = [
        (MatchQuery(parse_query(word), Format.MIXED, mode), 5, None)
        for word in words
        for mode in FetchMode
    ]
    used: list[object] = []
    event.listen(engine, "checkout", lambda raw, _record, _proxy: used.append(raw))
    with engine.connect() as connection:
        alone = [read_page(connection, *page) for page in wanted]
        assert len(used) == 1
        assert read_pages(connection, wanted) == alone
        assert len(used) == 2
    assert [len(page) for page in alone] == [min(n + 1, 5) for n in range(8) for _ in FetchMode]
    with snapshot(engine) as connection:
        used.clear()
        assert read_pages(connection, wanted) == alone
        assert used == []
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool

"""Reading matches: the pages have every match once, in order."""

import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.storage.catalog.matches import MatchQuery, read_pools, stale_matches
from sorafeed_assets.storage.catalog.pages import read_page
from sorafeed_assets_tests.catalogue import add_posts, fill_pools, run

ORDERS = {FetchMode.NEWEST: "posted_at DESC, id DESC", FetchMode.RANDOM: "id_hash, id"}


def ask(term: str, mode: FetchMode, format_: Format = Format.MIXED) -> MatchQuery:
    return MatchQuery(parse_query(term), format_, mode)


@pytest.fixture
def catalogue(engine: Engine) -> Engine:
    add_posts(engine, "cats", 7)
    add_posts(engine, "cats", 5, start=7, size=(352, 640))
    add_posts(engine, "cats", 3, start=12, size=(None, None))
    add_posts(engine, "dogs", 4)
    run(engine, "UPDATE sora_posts SET posted_at = '2026-02-02+00' WHERE id LIKE 'cats-000%'")
    return engine


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize("size", [1, 4, 50])
def test_pages_give_everything_once(
    catalogue: Engine, mode: FetchMode, format_: Format, size: int
) -> None:
    query = ask("CATS -0003", mode, format_)
    found: list[str] = []
    with catalogue.connect() as connection:
        page = read_page(connection, query, size)
        while page:
            found += [match.post_id for match in page]
            if len(page) < size:
                break
            page = read_page(connection, query, size, page[-1])
    wanted = run(
        catalogue,
        "SELECT id FROM sora_posts WHERE id LIKE 'cats%' AND id <> 'cats-0003'"
        f" AND (:format = 'mixed' OR size_class = :format) ORDER BY {ORDERS[mode]}",
        format=format_,
    )
    assert found == [row.id for row in wanted]
    assert len(found) == {Format.MIXED: 14, Format.WIDE: 6, Format.TALL: 5}[format_]


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize("format_", Format)
def test_a_pool_is_the_first_page(catalogue: Engine, mode: FetchMode, format_: Format) -> None:
    fill_pools(catalogue, "cats", 4)
    query = ask("cats", mode, format_)
    with catalogue.connect() as connection:
        pool = read_pools(connection, [query], 4)[query]
        page = read_page(connection, query, 4)
    assert list(zip(pool.ids, pool.hashes, strict=True)) == [(m.post_id, m.id_hash) for m in page]


def test_terms_that_are_not_counted_have_no_pool(catalogue: Engine) -> None:
    fill_pools(catalogue, "cats", 4)
    run(catalogue, "UPDATE search_terms SET counted_at = NULL")
    asked = [ask(term, mode) for term in ("cats", "dogs") for mode in FetchMode]
    with catalogue.connect() as connection:
        assert read_pools(connection, asked, 4) == {}
        assert read_pools(connection, [], 4) == {}


def test_wildcards_are_letters(catalogue: Engine) -> None:
    with catalogue.connect() as connection:
        assert read_page(connection, ask("c_ts", FetchMode.NEWEST), 9) == []
        assert read_page(connection, ask("cats -%", FetchMode.NEWEST), 9) != []


def test_stale_matches(catalogue: Engine) -> None:
    wide, tall = (ask("cats -0001", FetchMode.NEWEST, f) for f in (Format.WIDE, Format.TALL))
    run(catalogue, "DELETE FROM sora_posts WHERE id = 'cats-0002'")
    run(catalogue, "UPDATE sora_posts SET text = NULL WHERE id = 'cats-0004'")
    asked = [(wide, f"cats-000{number}") for number in range(6)]
    asked += [(tall, "cats-0000"), (tall, "cats-0008"), (wide, "dogs-0001")]
    with catalogue.connect() as connection:
        assert stale_matches(connection, asked) == {
            (wide, "cats-0001"),
            (wide, "cats-0002"),
            (wide, "cats-0004"),
            (tall, "cats-0000"),
            (wide, "dogs-0001"),
        }


def test_many_posts_of_one_midnight_are_read_on_from_a_slice(engine: Engine) -> None:
    run(
        engine,
        "INSERT INTO sora_posts (id, creator_id, text, posted_at, video_url)"
        " SELECT 'm-' || lpad(n::text, 5, '0'), 'c1',"
        " CASE WHEN n % 500 = 0 THEN 'a cat' ELSE 'a dog' END,"
        " timestamptz '2026-01-20 00:00+00' - greatest(0, n - 6000) * interval '3 hours',"
        " 'https://videos.example/a.mp4' FROM generate_series(1, 8000) AS n",
    )
    with engine.connect() as connection:
        page = read_page(connection, ask("cat", FetchMode.NEWEST), 50)
    wanted = run(
        engine,
        f"SELECT id FROM sora_posts WHERE text = 'a cat' ORDER BY {ORDERS[FetchMode.NEWEST]}",
    )
    assert [match.post_id for match in page] == [row.id for row in wanted]
    assert len(wanted) == 16

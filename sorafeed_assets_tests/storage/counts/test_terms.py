"""Which searches are tracked, for which displays, and when a term is removed."""

from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.storage.counts.jobs import MAX_ATTEMPTS, add_jobs
from sorafeed_assets.storage.counts.terms import (
    add_terms,
    keep_counting_away,
    remove_terms,
    searches_of,
    set_used,
    tracked,
    unused,
    unwatch,
    used_terms,
    watch,
)
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist


def _add(engine: Engine, *searches: str) -> list[str]:
    with engine.begin() as connection:
        return add_terms(connection, [parse_query(search) for search in searches])


def test_a_term_is_added_once(engine: Engine) -> None:
    assert _add(engine, "cat -dog", "fox") == ["cat -dog", "fox"]
    assert _add(engine, "fox", "owl") == ["owl"]
    with engine.connect() as connection:
        assert tracked(connection) == ["cat -dog", "fox", "owl"]
        assert tracked(connection, ["owl", "bee", "fox"]) == ["fox", "owl"]
    rows = run(engine, "SELECT phrase, exclusions FROM search_terms WHERE term = 'cat -dog'")
    assert [tuple(row) for row in rows] == [("cat", ["dog"])]


def test_a_term_is_unused_once_no_display_uses_it_and_no_client_watches_it(engine: Engine) -> None:
    _add(engine, "cat", "fox", "owl")
    add_display(engine, "AAAAA1")
    with engine.begin() as connection:
        # A deleted display uses nothing.
        set_used(connection, [("AAAAA1", "cat"), ("GONE", "owl")], [])
        assert used_terms(connection, None) == {("AAAAA1", "cat")}
        assert used_terms(connection, ["BBBBB2"]) == set()
        assert watch(connection, "fox")
        assert not watch(connection, "fox")
        assert unused(connection, None) == ["owl"]
        assert unused(connection, ["cat", "fox"]) == []
        set_used(connection, [], [("AAAAA1", "cat")])
        assert unwatch(connection, "fox")
        assert not unwatch(connection, "fox")
        assert unused(connection, None) == ["cat", "fox", "owl"]


def test_a_term_that_waits_to_be_counted_is_not_removed(engine: Engine) -> None:
    _add(engine, "cat", "fox", "owl")
    with engine.begin() as connection:
        add_jobs(connection, ["cat", "fox"], 1)
    # All attempts on one have failed, and it is not due again.
    run(
        engine,
        "UPDATE count_jobs SET attempts = :most, run_after = now() - interval '1 s'"
        " WHERE term = 'fox'",
        most=MAX_ATTEMPTS,
    )
    with engine.begin() as connection:
        assert remove_terms(connection, ["cat", "fox", "owl"]) == ["fox", "owl"]
        assert tracked(connection) == ["cat"]


def test_no_term_goes_while_counting_is_under_way(engine: Engine) -> None:
    with engine.begin() as counting, engine.begin() as connection:
        counting.exec_driver_sql("LOCK TABLE catalog_days IN SHARE ROW EXCLUSIVE MODE")
        assert not keep_counting_away(connection)
    with engine.begin() as connection:
        assert keep_counting_away(connection)


def test_searches_are_listed_as_written_in_the_order_of_their_blocks(engine: Engine) -> None:
    for name in ("BBBBB2", "AAAAA1"):
        add_display(engine, name)
    second = add_playlist(engine, "BBBBB2", [("  Cat ", 3)])
    first = add_playlist(engine, "AAAAA1", [("fox", 3), ("CAT", 2)])
    with engine.connect() as connection:
        listed = list(searches_of(connection, None))
        assert [row[:1] + row[3:] for row in listed] == [
            ("AAAAA1", "fox"), ("AAAAA1", "CAT"), ("BBBBB2", "  Cat "),
        ]  # fmt: skip
        assert [row[1] for row in listed] == [first, first, second]
        assert searches_of(connection, ["BBBBB2"]) == listed[2:]
        assert searches_of(connection, []) == []

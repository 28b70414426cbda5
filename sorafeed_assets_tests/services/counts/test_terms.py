"""Each change of `search_terms` is recorded, at a cost that depends only on the change."""

from sqlalchemy import Engine, event

from sorafeed_assets.services.counts.terms import (
    follow_terms,
    sync_search_terms,
    terms_change,
    tracked_terms,
    unwatch_term,
    watch_term,
)
from sorafeed_assets.storage.lineage_records import head_version
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist


def _is_recorded(engine: Engine) -> bool:
    with engine.connect() as connection:
        return head_version(connection, "search_terms") == terms_change(connection).data_version


def _follow(engine: Engine, *displays: str) -> None:
    with engine.begin() as connection:
        follow_terms(connection, displays)


def test_every_writer_records_what_is_held(engine: Engine) -> None:
    for number, display in enumerate(("AAAAA1", "BBBBB2", "CCCCC3")):
        add_display(engine, display)
        add_playlist(engine, display, [("shared", 2), (f"term {number}", 2)])
        _follow(engine, display)
        assert _is_recorded(engine)
    watch_term(engine, "owl")
    assert _is_recorded(engine)
    unwatch_term(engine, "owl")
    run(engine, "DELETE FROM count_jobs")
    _follow(engine, "AAAAA1")
    run(engine, "DELETE FROM playlists WHERE display_id = 'BBBBB2'")
    _follow(engine, "BBBBB2")
    assert "term 1" not in tracked_terms(engine)
    assert _is_recorded(engine)
    # A call for all displays finds what plain SQL removed.
    run(engine, "DELETE FROM search_terms WHERE term = 'term 2'")
    assert not _is_recorded(engine)
    sync_search_terms(engine)
    assert _is_recorded(engine)


def test_a_new_term_does_not_cost_by_the_others(engine: Engine) -> None:
    rows: list[int] = []
    for number in range(60):
        watch_term(engine, f"watched {number}")
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("new", 2)])
    count = lambda *found: rows.append(found[1].rowcount)  # noqa: E731  # to be removed again
    event.listen(engine, "after_cursor_execute", count)
    _follow(engine, "AAAAA1")
    event.remove(engine, "after_cursor_execute", count)
    assert max(rows) == 1
    assert _is_recorded(engine)

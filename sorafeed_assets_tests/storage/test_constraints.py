"""Invalid rows by plain SQL: refused by a constraint that names the column."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist

_BLOCK = """
INSERT INTO playlist_blocks
    (playlist_id, search_term, video_count, fetch_mode, format, block_order)
SELECT id, {term}, {count}, {mode}, {format}, {order} FROM playlists
"""
_FINE = {"term": "'a cat'", "count": "3", "mode": "'newest'", "format": "'wide'", "order": "1"}

_BLOCKS = [
    ("term", "''", "search_term_words"),
    ("term", "'   '", "search_term_words"),
    ("term", "'-dog -cat'", "search_term_words"),
    ("term", "'cat -'", "search_term_dashes"),
    ("term", "repeat('x', 201)", "search_term_length"),
    ("term", "NULL", "search_term"),
    ("count", "0", "video_count"),
    ("count", "501", "video_count"),
    ("mode", "'oldest'", "fetch_mode"),
    ("format", "'square'", "format"),
    ("order", "0", "block_order"),  # the order exists already
    ("order", "-1", "block_order"),
]
_TWO_ACTIVE = """
INSERT INTO playlists (display_id, name, is_active)
SELECT 'AAAAA1', 'x', true FROM generate_series(1, 2)
"""
_ROWS = [
    ("INSERT INTO displays (id, name) VALUES ('short', 'x')", "id_code"),
    ("INSERT INTO displays (id, name) VALUES ('AAAAA2', '  ')", "name_filled"),
    ("UPDATE displays SET playback_state = 'dancing'", "playback_state"),
    ("INSERT INTO playlists (display_id, name) VALUES ('NOBODY', 'x')", "display_id"),
    ("INSERT INTO playlists (display_id, name) VALUES ('AAAAA1', '')", "name_filled"),
    (_TWO_ACTIVE, "playlists_one_active_idx"),
    ("INSERT INTO sora_posts (id, posted_at) VALUES ('', now())", "id_filled"),
    ("INSERT INTO sora_posts (id, posted_at, width) VALUES ('p', now(), -1)", "size"),
    ("INSERT INTO sora_posts (id, posted_at) VALUES ('p', 'infinity')", "times_finite"),
    ("INSERT INTO sora_posts (id, posted_at) VALUES ('p', '55840-01-01')", "times_known"),
    ("INSERT INTO sora_posts (id, posted_at) VALUES ('p', '0044-03-15 BC')", "times_known"),
    (
        "INSERT INTO sora_posts (id, posted_at, indexed_at) VALUES ('p', now(), '10000-01-01')",
        "times_known",
    ),
    ("TRUNCATE sora_posts", "TRUNCATE of sora_posts is refused"),
    ("INSERT INTO search_terms (term, phrase) VALUES ('', '')", "term_length"),
]


@pytest.fixture
def display(engine: Engine) -> str:
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("a cat", 1)])
    return "AAAAA1"


@pytest.mark.usefixtures("display")
def test_blocks(engine: Engine) -> None:
    for column, value, names in _BLOCKS:
        with pytest.raises(DBAPIError, match=names):
            run(engine, _BLOCK.format(**{**_FINE, column: value}))
    assert run(engine, "SELECT count(*) FROM playlist_blocks") == [(1,)]
    run(engine, _BLOCK.format(**_FINE))


@pytest.mark.usefixtures("display")
def test_other_rows(engine: Engine) -> None:
    for statement, names in _ROWS:
        with pytest.raises(DBAPIError, match=names):
            run(engine, statement)
    assert run(engine, "SELECT count(*) FROM displays") == [(1,)]
    assert run(engine, "SELECT count(*) FROM playlists") == [(1,)]
    assert run(engine, "SELECT count(*) FROM sora_posts") == [(0,)]


def test_each_foreign_key_has_an_index(engine: Engine) -> None:
    """Otherwise a deleted row would read the whole table that refers to it."""
    missing = run(
        engine,
        "SELECT c.conrelid::regclass::text AS referring, c.conname FROM pg_constraint c"
        " JOIN pg_namespace n ON n.oid = c.connamespace AND n.nspname = 'public'"
        " WHERE c.contype = 'f' AND NOT EXISTS ("
        " SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = ANY(c.conkey)"
        " AND coalesce(pg_get_expr(i.indpred, i.indrelid), 'IS NOT NULL') LIKE '%IS NOT NULL%')",
    )
    assert [(row.referring, row.conname) for row in missing] == []

"""Settling one display uses indexes: no statement scans a whole table."""

import re
from typing import Final

import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.settle import Settler
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.statements import plans_of
from sorafeed_assets_tests.wall import add_posts

_DISPLAYS: Final = 600
_PLAYS: Final = 20_000
ONE: Final = "W00300"
OF_THE_WALL: Final = {
    "displays", "playlists", "playlist_blocks", "timeline_builds", "timeline_videos",
    "video_history", "lineage_records", "display_terms", "search_terms", "video_candidates",
}  # fmt: skip
_EXPLAINED: Final = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")


@pytest.fixture
def wall(engine: Engine, settler: Settler) -> Settler:
    """600 displays that play, each with a term of its own; one has played 20,000 videos."""
    add_posts(engine, "cat video", 60)
    run(engine, "INSERT INTO displays (id, name) SELECT 'W' || lpad(n::text, 5, '0'), 'x'"
                " FROM generate_series(1, :n) AS n", n=_DISPLAYS)  # fmt: skip
    run(engine, "INSERT INTO playlists (display_id, name) SELECT id, 'show' FROM displays")
    run(engine, "INSERT INTO playlist_blocks (playlist_id, search_term, video_count, block_order)"
                " SELECT p.id, t.term, 3, t.n FROM playlists p, LATERAL"
                " (VALUES ('cat video', 0), ('video', 1), ('term ' || p.display_id, 2))"
                " AS t (term, n)")  # fmt: skip
    settler.settle(settler.all_displays())
    settler.count_waiting_terms()
    run(engine, "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at)"
                " SELECT d.id, CASE WHEN n < 19000 THEN 'p_cat_video_0_' || lpad((n % 60)::text,"
                " 4, '0') ELSE 'gone' || n END, 0,"
                " d.dedup_since + n * interval '1 microsecond'"
                " FROM generate_series(1, :n) AS n, displays d WHERE d.id = :one",
        n=_PLAYS, one=ONE)  # fmt: skip
    # So many terms that the planner uses an index for the few of a display.
    run(engine, "INSERT INTO search_terms (term, phrase) SELECT 'other ' || n, 'other ' || n"
                " FROM generate_series(1, 20000) AS n")  # fmt: skip
    run(engine, "ANALYZE")
    return settler


def test_one_display_of_many_is_settled_by_indexes(engine: Engine, wall: Settler) -> None:
    for term in ("cat video", "a new term"):
        run(engine, "UPDATE playlist_blocks b SET search_term = :term FROM playlists p"
                    " WHERE p.id = b.playlist_id AND p.display_id = :one AND b.block_order = 2",
            term=term, one=ONE)  # fmt: skip
        with plans_of(engine, _EXPLAINED.match) as plans:
            assert wall.settle([ONE]).changed == [ONE], term
        statements = {plan.statement for plan in plans}
        assert len(statements) > 20
        assert any("json_array_elements_text" in each for each in statements)  # plays, by post
        assert [plan for plan in plans if plan.read_whole & OF_THE_WALL] == []

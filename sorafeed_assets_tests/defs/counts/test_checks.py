"""Checks of counts and pools: each passes on a healthy wall and names a planted fault."""

from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster


def test_counts_equal_recount(engine: Engine, wall: Dagster) -> None:
    name = "video_counts_by_search:counts_equal_recount"
    assert wall.culprits(name) == ""
    assert wall.check(name).metadata["looked_at"].value == 9
    run(engine, "UPDATE video_counts_daily SET count = 13 WHERE term = 'cat video'"
                " AND format = 'mixed'")  # fmt: skip
    run(engine, "REFRESH MATERIALIZED VIEW video_counts_by_search")
    assert wall.culprits(name) == "cat video (mixed): stored 13, recounted 12"


def test_counts_equal_recount_sees_posts_written_behind_the_outbox(
    engine: Engine, wall: Dagster
) -> None:
    name = "video_counts_by_search:counts_equal_recount"
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM sora_posts WHERE text LIKE '%%dog%%0003%%'")
    assert "dog video (mixed): stored 8, recounted 7" in wall.culprits(name)


def test_wide_and_tall_within_mixed(engine: Engine, wall: Dagster) -> None:
    name = "video_counts_by_search:wide_and_tall_within_mixed"
    assert wall.culprits(name) == ""
    run(engine, "UPDATE video_counts_daily SET count = 9 WHERE term = 'dog video'"
                " AND format = 'tall'")  # fmt: skip
    run(engine, "REFRESH MATERIALIZED VIEW video_counts_by_search")
    assert wall.culprits(name) == "dog video: wide and tall posts exceed all posts"


def test_counts_are_fresh(engine: Engine, wall: Dagster) -> None:
    name = "video_counts_by_search:counts_are_fresh"
    run(engine, "UPDATE sora_posts SET text = 'now a bird' WHERE text LIKE '%cat%0001%'")
    run(engine, "INSERT INTO search_terms (term, phrase) VALUES ('bird', 'bird')")
    assert wall.culprits(name) == ""  # both changes are recent
    run(engine, "UPDATE catalog_changes SET changed_at = now() - interval '4 hours'")
    run(engine, "UPDATE search_terms SET created_at = now() - interval '4 hours'"
                " WHERE term = 'bird'")  # fmt: skip
    evaluation = wall.check(name)
    assert not evaluation.passed
    assert evaluation.severity.value == "WARN"
    assert evaluation.description is not None
    assert "the search “bird” has had no count" in evaluation.description
    assert "the changes of 2026-03-01 have waited since" in evaluation.description


def test_pools_equal_brute_force(engine: Engine, wall: Dagster) -> None:
    name = "video_candidates:pools_equal_brute_force"
    assert wall.culprits(name) == ""
    run(engine, "DELETE FROM video_candidates WHERE term = 'cat video' AND pool = 'newest'"
                " AND post_id LIKE '%0011'")  # fmt: skip
    assert wall.culprits(name) == "cat video (wide, newest): differs from a direct query"

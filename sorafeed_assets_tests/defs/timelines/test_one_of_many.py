"""A run of one display reads, writes and checks that display; the whole wall has its own job."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, event

from sorafeed_assets.storage.cache.redis import timeline_key
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster, bring_up_to_date
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_EDIT = """
UPDATE playlist_blocks b SET video_count = :count FROM playlists p
WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1' AND b.block_order = 0
"""
# Planted faults of BBBBB2, by the check that finds them.
_FAULTS = {
    "display_timelines:replanning_is_deterministic": (
        "UPDATE timeline_builds SET content_hash = 'tampered' WHERE display_id = 'BBBBB2'"
    ),
    "display_timelines:plan_follows_playlist": (
        "UPDATE timeline_builds SET plan = plan #- '{loops,0,picks,2}' WHERE display_id = 'BBBBB2'"
    ),
    "display_timelines:queue_within_window": (
        "DELETE FROM timeline_videos WHERE display_id = 'BBBBB2' AND timeline_position = 1"
    ),
    "display_timelines:no_excluded_post_is_queued": (
        "INSERT INTO blocklist (kind, target_id, excluded_by)"
        " SELECT 'post', video_id, 'test' FROM timeline_videos WHERE display_id = 'BBBBB2' LIMIT 1"
    ),
    "display_timelines:every_timeline_is_current": (
        "UPDATE timeline_builds SET playlist_version = 'old' WHERE display_id = 'BBBBB2'"
    ),
    "active_playlists:one_active_playlist": (
        "UPDATE playlists SET is_new = true WHERE display_id = 'BBBBB2'"
    ),
    "display_timelines:lineage_is_true": "DELETE FROM display_changes",
    "timeline_cache:timeline_cache_equals_queue": "SELECT 1",
    "timeline_cache:lineage_is_true": "SELECT 1",
}


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {
        f"{each.asset_key.to_user_string()}:{each.check_name}": each.passed
        for each in result.get_asset_check_evaluations()
    }


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_run_of_one_display_looks_at_no_other(
    engine: Engine, wall: Dagster, *, by_hand: bool
) -> None:
    redis = wall.connections.redis
    assert wall.rebuild().success
    for plant in _FAULTS.values():
        run(engine, plant)
    redis.set(timeline_key("BBBBB2"), "garbage")
    run(engine, _EDIT, count=5)
    result = wall.rebuild("AAAAA1", by_hand=by_hand)
    assert result.success
    checks = _checks(result)
    assert checks.keys() >= _FAULTS.keys()
    assert all(checks.values()), checks
    assert redis.get(timeline_key("BBBBB2")) == "garbage"
    # The job `check_displays` covers every display.
    found = _checks(wall.run("check_displays"))
    assert {name for name, passed in found.items() if not passed} == _FAULTS.keys()


@contextmanager
def _rows(engine: Engine) -> Iterator[dict[str, int]]:
    """Statement → how many rows it has returned or written."""
    counted: dict[str, int] = {}

    def count(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        counted[statement] = counted.get(statement, 0) + max(0, cursor.rowcount)

    event.listen(engine, "after_cursor_execute", count)
    yield counted
    event.remove(engine, "after_cursor_execute", count)


def test_a_run_of_one_display_takes_the_same_rows_among_many(
    engine: Engine, dagster: Dagster
) -> None:
    add_posts(engine, "cat video", 30)
    taken: list[dict[str, int]] = []
    for number in (10, 300):
        have = len(dagster.connections.settler.all_displays())
        for n in range(have, number):
            display = add_display(engine, "AAAAA1" if n == 0 else f"W{n:05}")
            add_playlist(engine, display, [("cat video", 4), ("video", 3)])
        for count in (5, 4):
            run(engine, _EDIT, count=count)
            bring_up_to_date(dagster.connections)
        dagster.rebuild()
        dagster.record()
        run(engine, _EDIT, count=5)
        with _rows(dagster.connections.engine) as rows:
            result = dagster.rebuild("AAAAA1")
        assert result.success
        assert all(_checks(result).values())
        assert dagster.recorded("display_timelines")[-1] == "AAAAA1"
        taken.append(rows)
    few, many = taken
    assert many == few

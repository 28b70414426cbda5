"""Checks of plans and queues: each passes on a healthy wall and names a planted fault."""

import pytest
from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster, bring_up_to_date
from sorafeed_assets_tests.wall import add_display, add_playlist

_ROW = "display_id = 'AAAAA1' AND timeline_position = 0"


def test_every_timeline_is_current(engine: Engine, wall: Dagster) -> None:
    name = "display_timelines:every_timeline_is_current"
    assert wall.culprits(name) == ""
    run(engine, "UPDATE playlists SET name = 'renamed'")
    assert wall.culprits(name) == ""
    run(engine, "UPDATE playlist_blocks b SET video_count = 9 FROM playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'BBBBB2'")  # fmt: skip
    assert wall.culprits(name) == "BBBBB2: its queue does not follow its active playlist"


# Planted faults of the five rows of AAAAA1, each with the check's message.
_QUEUE_FAULTS = {
    "DELETE FROM timeline_videos WHERE {row} + 4": "4 videos are queued, the plan has",
    "DELETE FROM timeline_videos WHERE {row} + 1": (
        "video 3 of loop 1 is queued where video 2 of loop 1 belongs"
    ),
    "UPDATE timeline_videos SET video_id = 'another' WHERE {row} + 2": (
        "video 3 of loop 1 plays another, the plan says p_cat_video"
    ),
    "UPDATE timeline_videos SET status = 'playing' WHERE {row} + 3": (
        "video 4 of loop 1 is playing, but it is not the head"
    ),
    "UPDATE displays SET current_timeline_video_id = NULL WHERE id = 'AAAAA1'": (
        "current_timeline_video_id is not the head of the queue"
    ),
    """INSERT INTO timeline_videos (display_id, build_id, playlist_id, block_id, video_id,
           block_position, timeline_position, loop_iteration, queue_slot, video_data)
       SELECT display_id, build_id, playlist_id, block_id, video_id, 0, 400, 9, 9, '{{}}'
       FROM timeline_videos WHERE {row}""": "6 videos are queued, the window is 5",
}


@pytest.mark.parametrize(("plant", "culprit"), _QUEUE_FAULTS.items())
def test_queue_within_window(engine: Engine, wall: Dagster, plant: str, culprit: str) -> None:
    name = "display_timelines:queue_within_window"
    assert wall.culprits(name) == ""
    run(engine, plant.format(row=_ROW))
    found = wall.culprits(name)
    assert f"AAAAA1: {culprit}" in found
    assert "BBBBB2" not in found


def test_a_row_of_another_build(engine: Engine, wall: Dagster) -> None:
    run(engine, "ALTER TABLE timeline_videos DROP CONSTRAINT timeline_videos_active_build_fkey")
    run(engine, f"UPDATE timeline_videos SET build_id = -1 WHERE {_ROW} + 4")
    found = wall.culprits("display_timelines:queue_within_window")
    assert found == "AAAAA1: a row is of a build that is not the active one"


@pytest.mark.parametrize("kind", ["post", "creator"])
def test_no_excluded_post_is_queued(engine: Engine, wall: Dagster, kind: str) -> None:
    name = "display_timelines:no_excluded_post_is_queued"
    run(engine, "UPDATE sora_posts SET creator_id = 'ann' WHERE id = 'p_dog_video_0_0007'")
    add_target = "INSERT INTO blocklist (kind, target_id, excluded_by) VALUES (:kind, :id, 'test')"
    run(engine, add_target, kind=kind, id="unknown")
    assert wall.culprits(name) == ""
    run(engine, add_target, kind=kind, id="p_dog_video_0_0007" if kind == "post" else "ann")
    found = wall.culprits(name)
    assert "BBBBB2: its queue has posts that are excluded: p_dog_video_0_0007" in found
    wall.connections.settler.publish(["AAAAA1", "BBBBB2"])
    assert wall.culprits(name) == ""


_PLAN_FAULTS = {
    # The last block lacks its last video.
    "plan #- '{loops,0,picks,-1}'": "loop 1 has 2 videos of block",
    # A video is planned twice although there are others.
    "jsonb_set(plan, '{loops,0,picks,1,video_id}', plan #> '{loops,0,picks,0,video_id}')": (
        "video 2 of loop 1 is p_dog_video_0_0007, called new, but it was played or planned"
    ),
    # A block lacks one in its middle.
    "plan #- '{loops,0,picks,2}'": "video 3 of loop 1 is out of order in block",
}


@pytest.mark.parametrize(("plant", "culprit"), _PLAN_FAULTS.items())
def test_plan_follows_playlist(engine: Engine, wall: Dagster, plant: str, culprit: str) -> None:
    name = "display_timelines:plan_follows_playlist"
    assert wall.culprits(name) == ""
    with engine.begin() as connection:
        changed = connection.exec_driver_sql(
            f"UPDATE timeline_builds SET plan = {plant} WHERE display_id = 'BBBBB2'"
        )
        assert changed.rowcount == 1
    found = wall.culprits(name)
    assert found.startswith(f"BBBBB2: {culprit}")
    assert "AAAAA1" not in found


def test_planned_formats(engine: Engine, wall: Dagster) -> None:
    name = "display_timelines:plan_follows_playlist"
    run(engine, "UPDATE playlist_blocks SET format = 'tall' FROM playlists p"
                " WHERE p.id = playlist_id AND p.display_id = 'BBBBB2'")  # fmt: skip
    wall.connections.settler.publish(["BBBBB2"])
    assert wall.culprits(name) == ""
    run(engine, "UPDATE sora_posts SET width = 900 WHERE id = 'p_dog_video_0_0007'")
    assert (
        wall.culprits(name) == "BBBBB2: video 1 of loop 1 is p_dog_video_0_0007, which is not tall"
    )


def test_replanning_is_deterministic(engine: Engine, wall: Dagster) -> None:
    name = "display_timelines:replanning_is_deterministic"
    add_display(engine, "CCCCC3")
    add_playlist(engine, "CCCCC3", [("video", 6)], mode="random")
    bring_up_to_date(wall.connections)
    assert wall.culprits(name) == ""
    run(engine, "UPDATE timeline_builds SET content_hash = 'tampered' WHERE display_id = 'CCCCC3'")
    found = wall.culprits(name)
    assert found.startswith("CCCCC3: build ")
    assert "has hash tampered, planning again gives" in found


def test_a_plan_that_is_not_its_hash(engine: Engine, wall: Dagster) -> None:
    run(engine, "UPDATE timeline_builds SET plan = plan #- '{loops,0,picks,2}'"
                " WHERE display_id = 'AAAAA1'")  # fmt: skip
    found = wall.culprits("display_timelines:replanning_is_deterministic")
    assert found.startswith("AAAAA1: build ")
    assert "its stored plan has" in found

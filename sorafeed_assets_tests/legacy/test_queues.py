"""The old queues are imported again and again; what both sides changed is shown."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.services.legacy.queues import QueuesImport, import_queues, settle_imported
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets.storage.legacy.queues import read_problems
from sorafeed_assets_tests.legacy.old_file import OldFile, id_of
from sorafeed_assets_tests.wall import add_playlist, add_posts

# Every table that an import may write, besides the note of when it was.
_CONTENT = (
    *("displays", "playlists", "playlist_blocks", "video_history", "sora_posts"),
    *("timeline_videos", "timeline_builds", "legacy_imports", "legacy_problems"),
)


@pytest.fixture
def file(tmp_path: Path) -> OldFile:
    return OldFile(tmp_path / "old queues.sqlite")


@pytest.fixture
def settler(engine: Engine, settings: Settings) -> Iterator[Settler]:
    with Redis.from_url(str(settings.redis_url)) as redis:
        yield Settler.of(engine, redis, settings)


def _import(engine: Engine, settler: Settler, file: OldFile) -> QueuesImport:
    with old_queues(file.path) as opened:
        done = import_queues(engine, opened, file.path, with_posts=True)
    settle_imported(engine, settler, done.changed)
    return done


def _rows(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def _state(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row with the transaction that wrote it."""
    return {
        table: _rows(engine, f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 2")
        for table in _CONTENT
    }


def test_ids_times_and_order_are_kept(engine: Engine, settler: Settler, file: OldFile) -> None:
    posts = add_posts(engine, "tea", 5)
    file.add_display("HALL01")
    file.add_display("EMPTY1", " ")
    file.add_playlist("HALL01", "day", [("tea", 2), ("  Tea   time -milk ", "1")])
    file.add_playlist("HALL01", "night", [("tea", 1)], active=False, at="2025-10-25T08:00:00Z")
    file.add_play("HALL01", posts[0], "2025-10-24 10:00:00")
    file.add_play("GONE01", posts[0], "2025-10-24 10:00:00.250")
    done = _import(engine, settler, file)
    assert done.found == {"displays": 2, "playlists": 2, "plays": 2}
    expected = {"displays": 2, "playlists": 2, "activations": 1, "plays": 2, "posts": 0}
    assert done.written == expected
    assert done.problems == []
    assert _rows(engine, "SELECT id, name, created_at FROM displays ORDER BY id") == [
        ("EMPTY1", "EMPTY1", datetime(2025, 10, 23, 20, 17, 26, tzinfo=UTC)),
        ("HALL01", "Wall HALL01", datetime(2025, 10, 23, 20, 17, 26, tzinfo=UTC)),
    ]
    assert _rows(
        engine,
        "SELECT id, is_active, is_new, created_at, total_blocks, total_videos, loop_count"
        " FROM playlists ORDER BY created_at",
    ) == [
        (UUID(id_of("day")), True, False, datetime(2025, 10, 24, 8, tzinfo=UTC), 2, 3, 3),
        (UUID(id_of("night")), False, False, datetime(2025, 10, 25, 8, tzinfo=UTC), 1, 1, 3),
    ]
    assert _rows(
        engine,
        "SELECT id, search_term, video_count, fetch_mode, format, block_order"
        f" FROM playlist_blocks WHERE playlist_id = '{id_of('day')}' ORDER BY block_order",
    ) == [
        (UUID(id_of("day/0")), "tea", 2, "newest", "mixed", 0),
        (UUID(id_of("day/1")), "Tea time -milk", 1, "newest", "mixed", 1),
    ]
    assert _rows(
        engine, "SELECT display_id, played_at, timeline_video_id FROM video_history ORDER BY 1"
    ) == [
        ("GONE01", datetime(2025, 10, 24, 10, 0, 0, 250_000, tzinfo=UTC), None),
        ("HALL01", datetime(2025, 10, 24, 10, tzinfo=UTC), None),
    ]


def test_importing_again_writes_nothing(engine: Engine, settler: Settler, file: OldFile) -> None:
    posts = add_posts(engine, "tea", 5)
    file.add_display("HALL01")
    file.add_display("hall02")
    file.add_display("HALL02")
    file.add_playlist("HALL01", "day", [("tea", 2)])
    file.add_play("HALL01", posts[4], "2025-10-24 10:00:00")
    file.add_queued("HALL01", ["lost_1", posts[0]], copies=8)
    _import(engine, settler, file)
    before = _state(engine)
    done = _import(engine, settler, file)
    assert set(done.written.values()) == {0}
    assert done.changed == []
    assert _state(engine) == before


def test_a_display_goes_on_after_what_it_showed(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    posts = add_posts(engine, "tea", 5)
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 2)])
    for post in posts[2:]:
        file.add_play("HALL01", post, "2025-10-24 10:00:00")
    _import(engine, settler, file)
    queue = "SELECT video_id FROM timeline_videos ORDER BY loop_iteration, timeline_position"
    # The newest two that it has not shown.
    assert _rows(engine, queue)[:2] == [(posts[1],), (posts[0],)]
    file.add_play("HALL01", posts[1], "2025-10-24 10:01:00")
    _import(engine, settler, file)
    assert _rows(engine, queue)[0] == (posts[0],)


def test_a_change_of_one_side_is_kept(engine: Engine, settler: Settler, file: OldFile) -> None:
    add_posts(engine, "tea", 5)
    for code in ("THERE1", "HERE01"):
        file.add_display(code)
        file.add_playlist(code, f"day {code}", [("tea", 1), ("coffee", 1)])
        file.add_playlist(code, f"night {code}", [("tea", 1)], active=False)
    _import(engine, settler, file)
    there, here = id_of("day THERE1"), id_of("day HERE01")
    file.run("UPDATE displays SET name = 'New name' WHERE id = 'THERE1'")
    file.run("UPDATE playlist_blocks SET video_count = 3 WHERE id = ?", id_of("day THERE1/0"))
    file.run("DELETE FROM playlist_blocks WHERE id = ?", id_of("day THERE1/1"))
    file.run("UPDATE playlists SET is_active = (id = ?) WHERE display_id = 'THERE1'",
             id_of("night THERE1"))  # fmt: skip
    with engine.begin() as connection:
        connection.execute(text("UPDATE displays SET name = 'Ours' WHERE id = 'HERE01'"))
        connection.execute(
            text("UPDATE playlist_blocks SET video_count = 4 WHERE playlist_id = :id"),
            {"id": here},
        )
    done = _import(engine, settler, file)
    expected = {"displays": 1, "playlists": 1, "activations": 1, "plays": 0, "posts": 0}
    assert done.written == expected
    assert done.problems == []
    assert _rows(engine, "SELECT name FROM displays ORDER BY id") == [("Ours",), ("New name",)]
    blocks = "SELECT search_term, video_count FROM playlist_blocks WHERE playlist_id = '{}'"
    assert _rows(engine, blocks.format(there)) == [("tea", 3)]
    assert sorted(_rows(engine, blocks.format(here))) == [("coffee", 4), ("tea", 4)]
    active = "SELECT name FROM playlists WHERE is_active ORDER BY display_id"
    assert _rows(engine, active) == [("day HERE01",), ("night THERE1",)]


def test_a_change_of_both_sides_is_shown(engine: Engine, settler: Settler, file: OldFile) -> None:
    add_posts(engine, "tea", 5)
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 1)])
    _import(engine, settler, file)
    file.run("UPDATE displays SET name = 'Theirs'")
    file.run("UPDATE playlist_blocks SET video_count = 3")
    with engine.begin() as connection:
        connection.execute(text("UPDATE displays SET name = 'Ours'"))
        connection.execute(text("DELETE FROM playlists"))
    for _ in range(2):
        done = _import(engine, settler, file)
        assert [(each.kind, each.place) for each in done.problems] == [
            ("conflict", "display HALL01"),
            ("conflict", f"playlist 'day' ({id_of('day')}) of display HALL01"),
        ]
        assert "ours stays" in done.problems[0].problem
        assert _rows(engine, "SELECT name FROM displays") == [("Ours",)]
        assert _rows(engine, "SELECT id FROM playlists") == []
    with engine.connect() as connection:
        assert read_problems(connection) == done.problems
    file.run("UPDATE displays SET name = 'Ours'")
    assert [each.place[:8] for each in _import(engine, settler, file).problems] == ["playlist"]


def test_what_was_here_before_is_not_overwritten(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO displays (id, name) VALUES ('HALL01', 'Ours')"))
    ours = add_playlist(engine, "HALL01", [("coffee", 1)])
    settler.settle(["HALL01"])
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 1)])
    done = _import(engine, settler, file)
    assert [(each.kind, each.place) for each in done.problems] == [
        ("conflict", "display HALL01"),
        ("conflict", "the active playlist of display HALL01"),
    ]
    assert _rows(engine, "SELECT name FROM displays") == [("Ours",)]
    assert _rows(engine, "SELECT id FROM playlists WHERE is_active") == [(ours,)]


def test_a_choice_that_was_here_before_stays(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO displays (id, name) VALUES ('HALL01', 'Same')"))
    ours = add_playlist(engine, "HALL01", [("coffee", 1)])
    settler.settle(["HALL01"])
    file.add_display("HALL01", "Same")
    file.add_playlist("HALL01", "day", [("tea", 1)])
    for _ in range(2):
        (problem,) = _import(engine, settler, file).problems
        assert problem.place == "the active playlist of display HALL01"
    assert _rows(engine, "SELECT id FROM playlists WHERE is_active") == [(ours,)]


def test_where_none_was_active_the_first_choice_there_is_taken(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 1)], active=False)
    file.add_playlist("HALL01", "night", [("tea", 1)], active=False, at="2025-10-25 08:00:00")
    _import(engine, settler, file)
    active = "SELECT name FROM playlists WHERE is_active"
    assert _rows(engine, active) == [("night",)]
    file.run("UPDATE playlists SET is_active = 1 WHERE name = 'day'")
    assert _import(engine, settler, file).problems == []
    assert _rows(engine, active) == [("day",)]


def test_deleted_displays_stay_deleted(engine: Engine, settler: Settler, file: OldFile) -> None:
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 1)])
    file.add_display("HALL02")
    _import(engine, settler, file)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM displays WHERE id = 'HALL01'"))
    file.run("DELETE FROM displays WHERE id = 'HALL02'")
    done = _import(engine, settler, file)
    assert [(problem.kind, problem.place) for problem in done.problems] == [
        ("deleted", "display HALL02")
    ]
    # An import deletes nothing.
    assert _rows(engine, "SELECT id FROM displays") == [("HALL02",)]


def test_faults_of_the_old_system_are_shown(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    add_posts(engine, "tea", 5)
    for code in ("HALL01", "hall02", "HALL02", "x", "HALL03"):
        file.add_display(code)
    file.add_playlist("HALL01", "day", [("tea", 10), ("coffee", 42)])
    file.add_playlist("HALL01", "twice", [("tea", 1)], active=True, at="2025-10-20 08:00:00")
    file.add_playlist("HALL03", "huge", [("tea", 5_000)])
    file.add_playlist("HALL03", "long", [("tea", 1)] * 501, active=False)
    file.add_playlist("HALL03", "wordless", [("tea", 1), ("-tea", 1)], active=False)
    file.add_playlist("HALL03", "void", [], active=False)
    file.add_playlist("NOBODY", "orphan", [("tea", 1)])
    file.add("playlist_blocks", id="b", playlist_id="none", search_term="x", video_count=1)
    file.add_play("HALL01", "p", "yesterday")
    file.add_queued("HALL01", [f"v{n}" for n in range(52)], copies=8)
    file.add_queued("HALL03", ["v1"])
    file.add_queued("HALL02", ["v1"])  # refused as a whole
    done = _import(engine, settler, file)
    shown = {f"{each.kind}: {each.place}: {each.problem}" for each in done.problems}
    expected = (
        "refused: display 'hall02', 'HALL02': its code belongs to 2 displays; rename all but one",
        "refused: display 'x': its code is 'X'; it must be 6 characters",
        "block 1: the number of videos is 5000; it must be 1 to 500; correct it",
        "the list of blocks has 501; at most 500 are allowed",
        "block 2: the search has only exclusions",
        "the list of blocks is empty; a playlist needs at least one block",
        "skipped: playlists: 1 playlist without a display that was taken",
        "skipped: blocks: 1 block without a playlist",
        "skipped: plays: 1 play without a display, a video or a time",
        "queue: display HALL01: 416 rows wait in its old queue, where 52 belong; one position",
        "queue: display HALL03: 1 row waits in its old queue, where 0 belong",
    )
    for part in expected:
        assert any(part in line for line in shown), (part, shown)
    assert len(shown) == len(expected)
    assert _rows(engine, "SELECT id FROM displays ORDER BY id") == [("HALL01",), ("HALL03",)]
    assert _rows(engine, "SELECT name FROM playlists WHERE is_active") == [("day",)]
    assert _rows(engine, "SELECT count(*) FROM timeline_videos WHERE display_id = 'HALL01'") == [
        (5,)
    ]


def test_posts_that_only_a_queue_has_are_taken(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    (known,) = add_posts(engine, "tea", 1)
    file.add_display("HALL01")
    file.add_queued("HALL01", ["lost_1", known])
    file.add("timeline_videos", id="x", video_id="odd", video_data="[no json")
    assert _import(engine, settler, file).written["posts"] == 1
    assert _rows(
        engine,
        "SELECT id, text, posted_at, indexed_at, video_url, width, height, creator_id"
        " FROM sora_posts WHERE id LIKE 'lost%'",
    ) == [
        (
            "lost_1",
            "A lost commercial \ufffd lost_1",
            datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC),
            datetime(2025, 10, 24, 9, tzinfo=UTC),
            "https://v/lost_1.mp4",
            *(640, 352, "user-1"),
        )
    ]


def test_ids_that_are_no_uuids_become_some(engine: Engine, settler: Settler, file: OldFile) -> None:
    file.add_display("HALL01")
    file.add("playlists", id="pl_1", display_id="HALL01", name="day", is_active=1)
    file.add("playlist_blocks", id="b_1", playlist_id="pl_1", search_term="tea", video_count=1)
    _import(engine, settler, file)
    before = _state(engine)
    assert _rows(engine, "SELECT count(*) FROM playlist_blocks") == [(1,)]
    _import(engine, settler, file)
    assert _state(engine) == before


def test_what_is_refused_later_was_not_deleted_and_its_plays_wait_for_the_repair(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    for code in ("HALL01", "hall02"):
        file.add_display(code)
        file.add_playlist(code, f"day of {code}", [("tea", 2)])
    _import(engine, settler, file)
    file.add_display("HALL02")
    file.add_play("HALL02", "p", "2025-10-25 10:00:00")
    done = _import(engine, settler, file)
    assert [(each.kind, each.place) for each in done.problems] == [
        ("refused", "display 'hall02', 'HALL02'"),
        ("skipped", "playlists"),
        ("skipped", "plays"),
    ]
    assert _rows(engine, "SELECT count(*) FROM video_history") == [(0,)]
    # Of the new one, whose code is corrected there, with the plays that the web app renames too.
    file.run("UPDATE displays SET id = 'HALL03' WHERE id = 'HALL02'")
    file.run("UPDATE video_history SET display_id = 'HALL03'")
    assert _import(engine, settler, file).problems == []
    assert _rows(engine, "SELECT display_id FROM video_history") == [("HALL03",)]


def test_a_play_whose_time_is_a_number_is_followed_too(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    file.add_display("HALL01")
    file.add_play("HALL01", "old", "2025-10-01 10:00:00")
    file.add_play("HALL01", "text", "2025-10-25 10:00:00")
    file.add_play("HALL01", "seconds", "1761387000")
    with old_queues(file.path) as opened:
        done = import_queues(engine, opened, file.path, since="2025-10-24")
    assert done.written["plays"] == 2
    assert _rows(engine, "SELECT video_id FROM video_history ORDER BY 1") == [
        ("seconds",),
        ("text",),
    ]


def test_what_was_deleted_there_stays_and_is_listed(
    engine: Engine, settler: Settler, file: OldFile
) -> None:
    add_posts(engine, "tea", 5)
    for code in ("HALL01", "HALL02"):
        file.add_display(code)
        file.add_playlist(code, f"day of {code}", [("tea", 2)])
    file.add_playlist("HALL01", "huge", [("tea", 2)], active=False)
    _import(engine, settler, file)
    file.run("DELETE FROM playlists WHERE display_id = 'HALL02'")
    file.run("DELETE FROM displays WHERE id = 'HALL02'")
    # One that is refused now was not deleted.
    file.run("UPDATE playlist_blocks SET video_count = 501 WHERE playlist_id = ?", id_of("huge"))
    problems = _import(engine, settler, file).problems
    deleted = [problem.place for problem in problems if problem.kind == "deleted"]
    assert deleted == [
        "display HALL02",
        f"playlist 'day of HALL02' ({id_of('day of HALL02')}) of display HALL02",
    ]
    assert [problem.kind for problem in problems].count("refused") == 1
    assert _rows(engine, "SELECT count(*) FROM playlists") == [(3,)]
    with engine.connect() as connection:
        assert set(read_problems(connection)) == set(problems)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM displays WHERE id = 'HALL02'"))
    kinds = [problem.kind for problem in _import(engine, settler, file).problems]
    assert "deleted" not in kinds

"""From the same state both sides are the same, or differ by known faults; else the gate closes."""

import time
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest
from sqlalchemy import text

from sorafeed_assets.domain.errors import BusyError
from sorafeed_assets.domain.shadow.outcome import Outcome, Rule
from sorafeed_assets.services.shadow.report import shadow_gate, shadow_report
from sorafeed_assets.services.shadow.run import compare_due
from sorafeed_assets.storage.lineage_records import end_lease, renew_lease
from sorafeed_assets_tests.legacy.old_file import id_of
from sorafeed_assets_tests.legacy.old_side import OldPost, set_indexed
from sorafeed_assets_tests.shadow.sides import Sides, posts

GOOD = {Outcome.SAME, Outcome.EXPECTED}


@pytest.fixture
def wall(sides: Sides) -> Sides:
    """Two displays that show tea and cats, followed."""
    sides.scan(posts("tea", 12) + posts("cat", 30, size=(352, 640)))
    file = sides.file
    for code in ("HALL01", "HALL02"):
        file.add_display(code)
    file.add_playlist("HALL01", "day", [("tea", 4), ("cat", 3), ("tea", 2)])
    file.add_playlist("HALL02", "night", [("cat", 5), ("tea", 3)])
    file.run("UPDATE playlist_blocks SET fetch_mode = 'random' WHERE search_term = 'cat'")
    file.add_play("HALL01", "s_tea_011", "2026-03-02 10:00:00")
    file.add_play("HALL02", "s_cat_011", "2026-03-02 10:00:00")
    sides.follow()
    return sides


def test_from_the_same_state_both_sides_are_the_same(wall: Sides) -> None:
    done = wall.compare()
    assert set(done.outcomes) <= GOOD, wall.found("timeline")
    assert wall.found("count") == {
        f"{term} {format_}": (Outcome.SAME, (), "")
        for term in ("cat", "tea")
        for format_ in ("mixed", "tall", "wide")
    }
    assert set(wall.outcomes("timeline")) == {"HALL01", "HALL02"}
    assert set(wall.outcomes("plays").values()) == {Outcome.SAME}
    assert set(wall.outcomes("page").values()) == {Outcome.SAME}
    report = shadow_report(wall.engine, 1)
    assert report.gate.is_open, report.gate
    assert set(report.costs) == {"count", "repopulate", "admin page"}
    assert all(cost.before_median > 0 < cost.after_median for cost in report.costs.values())
    assert all(before and after for before, after in report.statements.values())
    assert wall.compare().outcomes == done.outcomes


def test_a_count_of_ours_that_is_wrong_closes_the_gate(wall: Sides) -> None:
    wall.write("UPDATE video_counts_daily SET count = count + 1 WHERE term = 'tea'")
    wall.compare()
    found = wall.found("count")
    outcome, _, detail = found["tea mixed"]
    assert outcome is Outcome.UNEXPLAINED
    assert "2026-03-01: 13 counted here, where 12 posts match" in detail
    assert found["cat mixed"][0] is Outcome.SAME
    gate = shadow_gate(wall.engine, 1)
    assert not gate.is_open
    assert gate.unexplained > 0
    assert "unexplained difference" in gate.reason


def test_the_posts_of_today_are_counted_up_to_the_cursor(sides: Sides) -> None:
    """The cursor is five minutes back, or at the oldest transaction there."""
    fresh, young = posts("tea from today", 3), posts("tea of this minute", 2)
    sides.scan(posts("tea", 12) + fresh + young)
    now = datetime.now(UTC)
    with psycopg.connect(sides.url) as connection:
        for each, minutes in ((fresh, 20), (young, 0)):
            at = now - timedelta(minutes=minutes)
            set_indexed(connection, [post.id for post in each], at)
    sides.file.add_display("HALL01")
    sides.file.add_playlist("HALL01", "day", [("tea", 4)])
    sides.follow()

    def compared() -> tuple[int, int, int]:
        sides.compare()
        with sides.engine.connect() as connection:
            found = connection.execute(
                text(
                    "SELECT figures FROM shadow_comparisons WHERE subject = 'tea'"
                    " AND part = 'mixed' ORDER BY id DESC LIMIT 1"
                )
            ).scalar_one()
        return found["there"], found["here"], found["shown"]

    # Those after the cursor are shown, and taken off of both sides.
    assert compared() == (15, 15, 17)
    assert set(sides.outcomes("count").values()) == {Outcome.SAME}
    # While a post of a day waits to be counted, its day is left out.
    day = f"{now - timedelta(minutes=20):%Y-%m-%d}"
    sides.write(
        "INSERT INTO catalog_changes (catalog_day, post_id, kind) VALUES (:day, 'x', 'insert')",
        day=day,
    )
    assert compared() == (12, 12, 17)
    sides.write("DELETE FROM catalog_changes")
    # A count of today that is wrong is found like any other.
    sides.write(
        "UPDATE video_counts_daily SET count = count + 1 WHERE term = 'tea' AND catalog_day = :day",
        day=day,
    )
    assert compared()[:2] == (15, 16)
    outcome, _, detail = sides.found("count")["tea mixed"]
    assert outcome is Outcome.UNEXPLAINED
    assert f"{day}: 4 counted here, where 3 posts match" in detail


def test_a_pool_of_ours_that_lacks_a_post_closes_the_gate(wall: Sides) -> None:
    wall.write("DELETE FROM video_candidates WHERE term = 'tea' AND post_id = 's_tea_010'")
    wall.compare()
    outcome, _, detail = wall.found("timeline")["HALL01"]
    assert outcome is Outcome.UNEXPLAINED
    assert "only the old system plays s_tea_010" in detail
    assert not shadow_gate(wall.engine, 1).is_open


def test_a_post_that_is_missing_here_is_unexplained(wall: Sides) -> None:
    wall.write("DELETE FROM sora_posts WHERE id = 's_tea_003'")
    wall.follow()  # which counts the day again
    wall.compare()
    found = wall.found("count")
    for format_ in ("mixed", "wide"):
        outcome, _, detail = found[f"tea {format_}"]
        assert outcome is Outcome.UNEXPLAINED
        assert detail == "2026-03-01: s_tea_003 is counted only there"
    assert found["tea tall"][0] is Outcome.SAME


def test_what_was_deleted_there_is_expected(wall: Sides) -> None:
    wall.old("DELETE FROM sora_posts WHERE id = 's_tea_011'")
    wall.file.run("DELETE FROM video_history WHERE display_id = 'HALL02'")
    wall.follow()
    assert set(wall.compare().outcomes) <= GOOD
    assert wall.found("count")["tea mixed"][1] == (Rule.ONLY_HERE,)
    assert wall.found("plays")["HALL02"][1] == (Rule.HISTORY_DELETED,)


def test_known_faults_of_the_old_system_are_expected(sides: Sides) -> None:
    odd = [
        OldPost("s_none", text="A tea without a size", posted_at=1_772_466_400, size=(None, None)),
        OldPost("s_wild", text="It is 50 per cent off", posted_at=1_772_466_401),
        OldPost("s_real", text="It is 50% off", posted_at=1_772_466_402),
        OldPost("s_late", text="A tea of milliseconds", posted_at=1_772_366_400_000),
        OldPost("s_twin", text="A tea number 5, again", posted_at=1_772_366_400 + 300),
    ]
    sides.scan(posts("tea", 12) + odd)
    sides.file.add_display("ODD001")
    sides.file.add_playlist("ODD001", "odd", [("tea", 10), ("50% off", 3)])
    sides.file.add_queued("ODD001", [f"s_tea_{n:03}" for n in range(13)], copies=8)
    for block, places in (("odd/0", "< 10"), ("odd/1", ">= 10")):
        sides.file.run(
            f"UPDATE timeline_videos SET block_id = ? WHERE timeline_position {places}",
            id_of(block),
        )
    for number in range(20):
        sides.file.add_play("ODD001", "s_tea_000", f"2026-03-02 10:{number:02}:00", number)
    sides.follow()
    done = sides.compare()
    assert set(done.outcomes) <= GOOD, sides.found("timeline")
    assert sides.found("count")["50% off mixed"][1] == (Rule.WILDCARD,)
    rules = set(sides.found("timeline")["ODD001"][1])
    assert {Rule.SIZELESS_POST, Rule.WILDCARD, Rule.UNKNOWN_TIME} <= rules
    queue = sides.found("queue")["ODD001"]
    assert queue[1] == (Rule.QUEUE_HELD_TWICE,)
    assert queue[2].startswith("104 rows wait where 13 belong")
    with sides.engine.connect() as connection:
        audit = connection.scalar(
            text("SELECT figures ->> 'audit' FROM shadow_comparisons WHERE kind = 'queue'")
        )
    assert audit == "video 1 of loop 1 repeats a video while s_tea_001 was never played"
    assert sides.found("plays")["ODD001"][1] == (Rule.AVOIDABLE_REPEATS,)


def test_what_takes_too_long_there_is_not_compared(wall: Sides) -> None:
    # A lock that another program holds; comparing waits for a tenth of a second only.
    with psycopg.connect(wall.url) as connection:
        connection.execute("LOCK TABLE sora_posts IN ACCESS EXCLUSIVE MODE")
        wall.compare()
    outcome, rules, detail = wall.found("count")["tea mixed"]
    assert (outcome, rules) == (Outcome.NOT_COMPARED, (Rule.MADE_UP_COUNT,))
    assert "took too long" in detail
    gate = shadow_gate(wall.engine, 1)
    assert not gate.is_open
    assert gate.reason.startswith("too little was compared on")


def test_a_pass_takes_its_share_of_the_time_and_no_more(wall: Sides) -> None:
    began = time.monotonic()
    done = wall.compare(share=0.2)
    taken = time.monotonic() - began
    assert set(done.outcomes) <= GOOD
    assert 0 < done.old_seconds <= 0.2 * taken


def test_nothing_is_written_but_the_results(wall: Sides) -> None:
    tables = ("timeline_videos", "timeline_builds", "displays", "video_history", "sora_posts")

    def state() -> list[object]:
        with wall.engine.connect() as connection:
            return [
                connection.scalar(
                    text(
                        f"SELECT string_agg(t::text || xmin, '' ORDER BY t::text) FROM {name} AS t"
                    )
                )
                for name in tables
            ]

    before, file = state(), wall.file.path.read_bytes()
    wall.compare()
    assert state() == before
    assert wall.file.path.read_bytes() == file


def test_one_process_compares_at_a_time(wall: Sides) -> None:
    with wall.engine.begin() as connection:
        assert renew_lease(connection, "shadow", "another", timedelta(minutes=1))
    with pytest.raises(BusyError, match="another process compares"):
        wall.compare()
    with wall.engine.begin() as connection:
        end_lease(connection, "shadow", "another")
    wall.compare()


def test_it_stops_soon_and_goes_on_where_it_was(wall: Sides) -> None:
    stop = Event()
    done = compare_due(wall.shadow(), stop, lambda *_: stop.set())
    assert sum(done.outcomes.values()) == 1
    rest = compare_due(wall.shadow(), Event())
    assert sum(rest.outcomes.values()) == 6 + 8 - 1
    assert compare_due(wall.shadow(), Event()).outcomes == {}


def test_old_results_are_pruned(wall: Sides) -> None:
    wall.compare()
    wall.write("UPDATE shadow_comparisons SET compared_at = now() - interval '91 days'")
    wall.compare()
    with wall.engine.connect() as connection:
        oldest = connection.scalar(text("SELECT min(compared_at) FROM shadow_comparisons"))
    assert oldest is not None
    assert oldest > datetime.now(UTC) - timedelta(days=2)

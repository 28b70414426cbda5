"""A slow display neither holds up a pass nor keeps others waiting; plays are read once."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event

import pytest
from sqlalchemy import text

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.services.shadow.budget import Budget, PassOverError
from sorafeed_assets.services.shadow.counts import compare_count
from sorafeed_assets.services.shadow.report import shadow_report
from sorafeed_assets.services.shadow.run import TIMELINES_ASSET, compare_due
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets.storage.legacy.old_queues import OldQueues, Row
from sorafeed_assets.storage.shadow.old_way import OldWay
from sorafeed_assets_tests.legacy.old_file import id_of
from sorafeed_assets_tests.shadow.sides import Sides, posts

_SLOW = """
ALTER TABLE sora_posts RENAME TO all_posts;
CREATE VIEW sora_posts AS
WITH slept AS MATERIALIZED (SELECT pg_sleep(1)) SELECT p.* FROM slept, all_posts AS p
"""
_FAST = "DROP VIEW sora_posts; ALTER TABLE all_posts RENAME TO sora_posts"
_TIMELINES = "SELECT subject FROM shadow_comparisons WHERE kind = 'timeline' ORDER BY id"


@pytest.fixture
def wall(sides: Sides) -> Sides:
    """HALL01 with a loop of 60 random videos, and HALL02 with the two newest ones."""
    sides.scan(posts("cat", 70))
    for code in ("HALL01", "HALL02"):
        sides.file.add_display(code)
    sides.file.add_playlist("HALL01", "day", [("cat", 60)])
    sides.file.add_playlist("HALL02", "night", [("cat", 2)])
    sides.file.run(
        "UPDATE playlist_blocks SET fetch_mode = 'random' WHERE playlist_id = ?", id_of("day")
    )
    sides.follow()
    return sides


@contextmanager
def _slow(wall: Sides) -> Iterator[None]:
    """Each statement takes a second there."""
    wall.old(_SLOW)
    yield
    wall.old(_FAST)


def _timelines(wall: Sides) -> list[str]:
    with wall.engine.connect() as connection:
        return list(connection.scalars(text(_TIMELINES)))


def test_the_time_of_a_pass_ends_it_within_a_display(wall: Sides) -> None:
    began = time.monotonic()
    with _slow(wall):
        # A busy machine may need the first seconds to begin; all its statements need two minutes.
        for seconds in (1, 2, 4, 8, 16, 32):
            done = compare_due(wall.shadow(), Event(), assets=[TIMELINES_ASSET], seconds=seconds)
            if _timelines(wall):
                break
    assert time.monotonic() - began > 1
    assert done.old_seconds < 60
    assert _timelines(wall) == ["HALL01"]
    outcome, rules, detail = wall.found("timeline")["HALL01"]
    assert (outcome, rules) == (Outcome.NOT_COMPARED, ())
    assert detail.startswith("the pass was over after ")
    assert detail.endswith(" for this display; it is compared in the next one")
    told = [(each.kind, each.subject) for each in shadow_report(wall.engine, 1).not_compared]
    assert ("timeline", "HALL01") in told
    # At once, and after the others.
    compare_due(wall.shadow(), Event(), assets=[TIMELINES_ASSET], seconds=600)
    assert _timelines(wall) == ["HALL01", "HALL02", "HALL01"]
    good = {Outcome.SAME, Outcome.EXPECTED}
    assert set(wall.outcomes("timeline").values()) <= good, wall.found("timeline")
    told = [(each.kind, each.subject) for each in shadow_report(wall.engine, 1).not_compared]
    assert ("timeline", "HALL01") not in told
    # Nothing more is due today.
    assert compare_due(wall.shadow(), Event(), assets=[TIMELINES_ASSET]).outcomes == {}


def test_no_statement_begins_after_the_end() -> None:
    Budget(1.0).begin()
    Budget(1.0, end=time.monotonic() + 3_600).begin()
    with pytest.raises(PassOverError):
        Budget(1.0, end=time.monotonic() - 1).begin()


def test_a_count_that_is_cut_off_is_no_difference(wall: Sides) -> None:
    """Which posts differ takes more statements; without them nothing is said."""
    wall.write("UPDATE video_counts_daily SET count = count + 1 WHERE term = 'cat'")
    begun: list[None] = []

    def begin() -> None:
        if begun:
            raise PassOverError
        begun.append(None)

    with old_catalog(wall.url) as old:
        way = OldWay(old, datetime.now(UTC), lambda _: None, begin)
        with pytest.raises(PassOverError):
            compare_count(wall.engine, way, "cat", Format.MIXED)
    assert wall.found("count") == {}


def test_the_plays_of_a_display_are_read_once(wall: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    # A whole loop waits, so that it is audited with what was played.
    wall.file.add_queued("HALL02", ["s_cat_003", "s_cat_004"])
    wall.file.run("UPDATE timeline_videos SET block_id = ?", id_of("night/0"))
    wall.file.add_play("HALL02", "s_cat_003", "2026-03-02 10:00:00")
    read, plays_of = Counter[str](), OldQueues.plays_of

    def counting(self: OldQueues, displays: Sequence[str]) -> Iterator[Row]:
        read.update(displays)
        return plays_of(self, displays)

    monkeypatch.setattr(OldQueues, "plays_of", counting)
    wall.compare()
    assert read == {"HALL02": 1}
    with wall.engine.connect() as connection:
        audit, plays = connection.execute(
            text(
                "SELECT max(figures ->> 'audit'), max(figures ->> 'plays')"
                " FROM shadow_comparisons WHERE kind IN ('queue', 'plays')"
                " AND subject = 'HALL02'"
            )
        ).one()
    assert audit == "video 1 of loop 1 repeats a video while s_cat_004 was never played"
    assert plays == "1"

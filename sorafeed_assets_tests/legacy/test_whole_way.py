"""From "we run the old one" to "the old one is off", while both are written: nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import NotDrivenError
from sorafeed_assets.domain.flags.known import DRIVER, PLANNER
from sorafeed_assets.domain.rollouts.machine import ENDED, Rollout, Status, Step
from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.legacy.cutover import Switch
from sorafeed_assets.services.legacy.follow import copy_new_posts, import_changed_queues
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.shadow.run import Shadow, compare_due
from sorafeed_assets.services.timelines.advancing import Play
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import OPTIONS, TABLES, OldPost, scan

CODES = [f"HALL{number:02}" for number in range(16)]
BY: dict[str, Any] = {"by": "test", "why": "the way over"}
STEPS = (Step(25.0, timedelta(minutes=5)), Step(100.0, timedelta(0)))


class OldSide:
    """The running old system: a scanner, and a web app with the faults that it is known for."""

    def __init__(self, url: str, file: OldFile) -> None:
        self.url = url
        self.file = file
        self.scanned: list[str] = []
        self.played: list[str] = []
        self._numbers = count()
        # The screens that it drives.
        self.screens = list(CODES)
        self._address = url

    def move_scanner(self, url: str) -> None:
        """Point the scanner at another address, which is all that is changed of it."""
        self._address = url

    def scan(self) -> None:
        """One transaction of the scanner."""
        posts = [
            OldPost(
                f"s_{(number := next(self._numbers)):06}",
                creator=f"c{number % 9}",
                text=f"A cup of tea, number {number}" if number % 2 else f"Rain number {number}",
                posted_at=1_772_366_400 + 60 * number,
                size=(640, 352) if number % 10 else (None, None),
            )
            for _ in range(5)
        ]
        with psycopg.connect(self._address) as connection:
            connection.execute(TABLES)  # at each start it creates what is missing
            scan(connection, posts)
        self.scanned += [post.id for post in posts]

    def play(self) -> None:
        """A play on each screen, of a few videos again and again; positions are queued twice."""
        at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        for code in self.screens:
            number = next(self._numbers)
            self.file.add_play(code, f"s_{number % 40:06}", at, number)
            self.file.add("timeline_videos", id=f"row {number}", display_id=code,
                video_id=f"s_{number % 40:06}", timeline_position=number % 8, loop_iteration=0,
                video_data="{}", created_at=at)  # fmt: skip
            self.played.append(f"{code}/{number}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write, without pause, until the block ends."""
        with _repeated(self.scan), _repeated(self.play):
            yield


@contextmanager
def _repeated(work: Any) -> Iterator[None]:
    stop, errors = Event(), list[BaseException]()

    def repeat() -> None:
        while not stop.wait(0.05):
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # raised below
                errors.append(error)
                return

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


class NewSide:
    """This system: followers, the timeline service, and a clock that the test turns."""

    def __init__(self, engine: Engine, redis: Redis, settings: Settings, old: OldSide) -> None:
        self.engine = engine
        self.flags = Flags(engine)
        self.timelines = TimelineService(engine, flags=self.flags)
        self.settler = Settler(engine, redis, self.timelines, ttl=3600)
        self.switch = Switch(engine, self.timelines, old.url, old.file.path)
        self.now = datetime.now(UTC)
        self.rollouts = Rollouts(engine, self.flags, self.settler.settle, clock=lambda: self.now)
        self.plays = 0
        self._settings = settings
        self._old = old
        self._random = np.random.default_rng(3)

    def follow(self) -> None:
        """One pass over the old side, and all that follows from it."""
        with old_catalog(self._old.url) as old:
            copy_new_posts(self.engine, old)
        import_changed_queues(self.engine, self.settler, self._old.file.path, with_posts=False)
        self.settle()

    def settle(self) -> None:
        """What `react` does."""
        self.settler.follow_terms()
        self.settler.apply_posts()
        self.settler.count_waiting_terms()
        while self.settler.settle_changed():
            pass

    def compare(self) -> set[Outcome]:
        """The outcomes of comparing both sides."""
        shadow = Shadow(
            engine=self.engine,
            catalog_url=self._old.url,
            queues=self._old.file.path,
            pool_size=500,
            share=1.0,
            statement_seconds=60,
            keep_days=90,
        )
        return set(compare_due(shadow, Event()).outcomes)

    def play(self, code: str, *, skipped: bool = False) -> None:
        """A screen of this system shows the head of its queue."""
        head = queue_of(self.engine, code)[0]
        self.timelines.playback.advance_alone(
            Play(code, head.id, skipped, self.now), lambda _ids: ()
        )
        self.plays += 1

    def roll_out(self, name: str, skips: float) -> Status:
        """Roll the second planner out; its videos are skipped with the probability ``skips``."""
        plan = Rollout(name, PLANNER, "creator_gap", STEPS, frozenset({Signal.SKIPPED}))
        self.rollouts.start(plan, by="test")
        self.settle()
        for _ in range(60):
            for _ in range(5):
                inside = self.planned_by("creator_gap")
                for code in CODES:
                    chance = skips if code in inside else 0.02
                    self.play(code, skipped=bool(self._random.random() < chance))
            self.now += timedelta(minutes=1)
            evaluation = self.rollouts.evaluate(name)
            assert evaluation is not None
            if evaluation.after.status in ENDED:
                return evaluation.after.status
        raise AssertionError("the rollout has not ended within a simulated hour")

    def planned_by(self, planner: str) -> set[str]:
        """The displays whose plan a planner has made."""
        rows = run(
            self.engine,
            "SELECT d.id FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id"
            " WHERE b.planner = :planner",
            planner=planner,
        )
        return {row.id for row in rows}


@pytest.fixture
def old_side(old_url: str, tmp_path: Path) -> OldSide:
    """An old system with sixteen screens."""
    file = OldFile(tmp_path / "old.sqlite")
    for code in CODES:
        file.add_display(code)
        file.add_playlist(code, f"day of {code}", [("tea", 6), ("rain", 4)])
    file.run("UPDATE playlist_blocks SET fetch_mode = 'random' WHERE search_term = 'tea'")
    side = OldSide(old_url, file)
    for _ in range(60):
        side.scan()
    side.play()
    return side


@pytest.fixture
def new_side(engine: Engine, settings: Settings, old_side: OldSide) -> Iterator[NewSide]:
    """This system, beside it."""
    with Redis.from_url(str(settings.redis_url)) as redis:
        yield NewSide(engine, redis, settings, old_side)


def test_the_whole_way(
    engine: Engine, database_url: str, old_side: OldSide, new_side: NewSide
) -> None:
    with engine.begin() as connection:
        new_side.flags.set_all(connection, DRIVER, "old", **BY)
    with old_side.running():
        for _ in range(3):
            new_side.follow()
        # The old system drives every screen: nothing is queued here, and plays are refused.
        assert run(engine, "SELECT * FROM timeline_videos") == []
        assert new_side.compare() <= {Outcome.SAME, Outcome.EXPECTED}

        with engine.begin() as connection:
            new_side.flags.set_all(connection, DRIVER, "shadow", **BY)
        new_side.follow()
        assert all(len(queue_of(engine, code)) == 5 for code in CODES)
        with pytest.raises(NotDrivenError):
            new_side.play(CODES[0])
        assert new_side.compare() <= {Outcome.SAME, Outcome.EXPECTED}

        # Screens are switched over share by share; the old player of each is stopped before.
        for share in (25, 50, 100):
            checked = new_side.switch.check([], share)
            going = {each.display_id for each in checked.displays}
            assert not any(each.problems for each in checked.displays)
            old_side.screens = [code for code in old_side.screens if code not in going]
            new_side.follow()
            assert new_side.switch.switch([], share, **BY).displays.keys() == going
            new_side.settle()
            for code in going:
                new_side.play(code)
        assert old_side.screens == []

        # The second planner: skipped again and again it is rolled back, else it is everywhere.
        assert new_side.roll_out("worse", 0.6) is Status.ROLLED_BACK
        assert new_side.planned_by("in_order") == set(CODES)
        assert new_side.roll_out("better", 0.02) is Status.COMPLETED
        assert new_side.planned_by("creator_gap") == set(CODES)
        new_side.follow()

    # The day of the switch: what the scanner wrote is followed to its end, then it writes here.
    def all_are_here() -> bool:
        new_side.follow()
        return len(run(engine, "SELECT FROM sora_posts")) == len(old_side.scanned)

    wait_until(all_are_here, "every post to be followed")
    old_side.move_scanner(f"{database_url}?{OPTIONS}")
    before = len(old_side.scanned)
    with old_side.running():
        wait_until(lambda: len(old_side.scanned) > before + 20, "the scanner to write here")
    new_side.settle()

    stored = [row.id for row in run(engine, "SELECT id FROM sora_posts ORDER BY id")]
    assert stored == sorted(old_side.scanned)
    imported = run(engine, "SELECT id FROM video_history WHERE timeline_video_id IS NULL")
    assert len(imported) == len({row.id for row in imported}) == len(old_side.played)
    ours = run(engine, "SELECT FROM video_history WHERE timeline_video_id IS NOT NULL")
    assert len(ours) == new_side.plays
    assert not any(check_queues(engine, CODES, 5).values())
    assert not any(check_plans(engine, CODES).values())

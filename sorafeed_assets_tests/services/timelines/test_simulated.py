"""A simulated display plays what a real one plays: the services on a database, beside the model."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.simulation.catalogue import (
    Catalogue,
    Rates,
    post_id,
    post_number,
)
from sorafeed_assets.domain.simulation.display import Display, seconds_of
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.timelines.reads import load_builds
from sorafeed_assets_tests.catalogue import add_display, queue_of, run

_CODE: Final = "AAAAAA"
_SHARES: Final = {"cats": 0.2, "dogs": 0.05, "birds": 0.004, "unicorns": 0.0}
_POSTS: Final = 3_000
_SECONDS: Final = 1_200.0
_WINDOW: Final = 5
# Small pools, so that plans also read beyond them.
_POOL: Final = 40
_SIZES: Final = {Format.WIDE: (640, 352), Format.TALL: (352, 640)}
_ADD: Final = """
INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)
VALUES (:id, :text, :at, :at, :width, :height)
"""
_ADD_BLOCK: Final = """
INSERT INTO playlist_blocks
    (id, playlist_id, search_term, video_count, fetch_mode, format, block_order)
VALUES (:id, :playlist, :term, :count, :mode, :format, :order)
"""


class _Wall:
    """The same catalogue and display in the database and in the model."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.service = TimelineService(engine, window=_WINDOW, candidates_per_pool=_POOL)
        rates = Rates(posts=43_200.0, deletes=0.0, edits=0.0)
        self.catalogue = Catalogue(
            _SHARES,
            posts=_POSTS,
            rates=rates,
            seconds=_SECONDS,
            seed=seed,
            pool_size=_POOL,
        )
        self._terms: dict[int, list[str]] = {}
        self._shape: dict[int, Format] = {}
        self._add_posts(self._numbers())

    def _numbers(self) -> list[int]:
        """The posts that match a term, and how they do."""
        for term in _SHARES:
            for number in self.catalogue.source(term, Format.MIXED).numbers.tolist():
                self._terms.setdefault(number, []).append(term)
            for shape in _SIZES:
                for number in self.catalogue.source(term, shape).numbers.tolist():
                    self._shape[number] = shape
        return sorted(self._terms)

    def _add_posts(self, numbers: list[int]) -> None:
        self._later = [n for n in numbers if n >= _POSTS]
        self._insert([n for n in numbers if n < _POSTS])

    def _insert(self, numbers: list[int]) -> None:
        start = datetime(2026, 3, 1, tzinfo=UTC)
        rows = []
        for number in numbers:
            width, height = _SIZES.get(self._shape.get(number, Format.MIXED), (300, 300))
            rows.append(
                {"id": post_id(number), "text": f"A video of {' and '.join(self._terms[number])}",
                 "at": start + timedelta(seconds=number), "width": width, "height": height}
            )  # fmt: skip
        if rows:
            with self.engine.begin() as connection:
                connection.execute(text(_ADD), rows)

    def go_to(self, second: float) -> None:
        """Insert the posts that arrive by a second, and count them."""
        newest = self.catalogue.newest(second)
        self._insert([n for n in self._later if n < newest])
        self._later = [n for n in self._later if n >= newest]
        refresh_days(self.engine, None, pool_size=_POOL)

    def add_playlist(self, blocks: tuple[Block, ...]) -> None:
        add_display(self.engine, _CODE)
        (row,) = run(
            self.engine,
            "INSERT INTO playlists (display_id, name, is_active, is_new)"
            " VALUES (:id, 'a playlist', true, false) RETURNING id",
            id=_CODE,
        )
        for block in blocks:
            run(self.engine, _ADD_BLOCK, playlist=row.id, **_fields(block))

    def plan(self, display: Display, second: float, ahead: int) -> None:
        """Plan on both sides, and compare the whole plans and the queues."""
        outcome = self.service.repopulate([_CODE], ahead=ahead)[_CODE]
        assert isinstance(outcome, BuildOutcome), outcome
        display.follow(display.plan(self.catalogue, second, max(_WINDOW, ahead)))
        with self.engine.connect() as connection:
            stored = load_builds(connection, [_CODE])[_CODE]
        assert stored.schedule.since(display.loop) == display.schedule
        assert (outcome.loop, outcome.position) == (display.loop, display.position)
        self.compare_queues(display)

    def compare_queues(self, display: Display) -> None:
        queue = [
            (row.loop_iteration, row.timeline_position, row.video_id)
            for row in queue_of(self.engine, _CODE)
        ]
        assert queue == [
            (loop, pick.position, pick.post_id) for loop, pick in display.ahead(_WINDOW)
        ]

    def show(self) -> None:
        """Tell that the head of the queue is being shown."""
        head: Any = queue_of(self.engine, _CODE)[0]
        self.service.playback.begin(_CODE, head.id, lambda _connection, _free: None)

    def play(self, display: Display, count: int) -> None:
        """Play videos to their end on both sides."""
        for _ in range(count):
            _loop, pick = display.ahead(1)[0]
            head: Any = queue_of(self.engine, _CODE)[0]
            assert head.video_id == pick.post_id
            (played,) = display.play_until(display.since + seconds_of(pick.post_id))
            assert played.pick == pick
            answer = self.service.playback.advance(_CODE, head.id)
            assert (answer.loop, answer.position) == (display.loop, display.position)
        self.compare_queues(display)


def _fields(block: Block) -> dict[str, object]:
    return {
        "id": block.id,
        "term": block.search_term,
        "count": block.video_count,
        "mode": block.fetch_mode.value,
        "format": block.format.value,
        "order": block.block_order,
    }


def _block(rng: random.Random, order: int) -> Block:
    return Block(
        UUID(int=rng.getrandbits(128), version=4),
        rng.choice(list(_SHARES)),
        rng.randrange(1, 9),
        rng.choice(list(FetchMode)),
        rng.choice(list(Format)),
        order,
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_a_simulated_display_plays_what_a_real_one_plays(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # to be repeated, not kept secret
    wall = _Wall(engine, seed)
    for term in _SHARES:
        watch_term(engine, term)
    wall.go_to(0.0)
    blocks = (
        Block(UUID(int=8), "cats", 4, FetchMode.NEWEST, Format.MIXED, 0),
        Block(UUID(int=9), "birds", 8, FetchMode.RANDOM, Format.MIXED, 1),
    )
    display = Display(_CODE, (*blocks, *(_block(rng, order) for order in range(2, 5))))
    wall.add_playlist(display.blocks)
    wall.plan(display, 0.0, 0)
    wall.show()
    tiers = set()
    for _ in range(6):
        wall.play(display, rng.randrange(1, 12))
        wall.go_to(display.since)
        change = rng.randrange(3)
        if change == 0:
            place = rng.randrange(2, len(display.blocks))
            edited = _block(rng, place)
            display.blocks = (
                *display.blocks[:place], edited, *display.blocks[place + 1 :],
            )  # fmt: skip
            old = display.planned[place]
            run(engine, "DELETE FROM playlist_blocks WHERE id = :id", id=old.id)
            (playlist,) = run(engine, "SELECT id FROM playlists")
            run(engine, _ADD_BLOCK, playlist=playlist.id, **_fields(edited))
        # As `sorafeed react` does, so that plays need not plan.
        wall.plan(display, display.since, 60 if change == 1 else 25)
        tiers |= {pick.tier for plan in display.schedule.loops for pick in plan.picks}
    assert len(tiers) > 1
    assert post_number(display.ahead(1)[0][1].post_id) >= 0

"""After any writers in any order, Dagster's records match what is stored.

`pytest --hypothesis-profile long` runs many more examples.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

import dagster as dg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from sorafeed_assets.defs import recording
from sorafeed_assets.defs.common import run_over_days
from sorafeed_assets.defs.counts.automation import JOB_NAME as REFRESH_COUNTS
from sorafeed_assets.defs.dagster_internals import LINEAGE_TAG
from sorafeed_assets.defs.lineage.mend import mend
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import RecordedAsset, recorded_assets
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.services.cache import write as cache
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import sample_recount
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import START, add_display, add_playlist, add_posts

CODES = ("AAAAA1", "BBBBB2", "CCCCC3")
_TABLES = """
SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables
WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'creators', 'sora_posts')
"""
DISPLAY = st.sampled_from(CODES)
TERM = st.sampled_from(["cat", "dog", "video", "cat -dog", "unicorn"])
LINES = st.lists(st.tuples(TERM, st.integers(1, 3)), min_size=1, max_size=3)
PLACE = st.integers(0, 20)
DAY = st.integers(0, 2)


class KilledError(Exception):
    """Stands for the end of the process."""


@contextmanager
def killed_after(module: Any, name: str) -> Iterator[list[str]]:
    """Let the first call of a function do its work, then end the process."""
    original: Callable[..., object] = getattr(module, name)
    calls: list[str] = []

    def work(*args: object, **kwargs: object) -> object:
        result = original(*args, **kwargs)
        if not calls:
            calls.append(name)
            raise KilledError(name)
        return result

    setattr(module, name, work)
    try:
        yield calls
    except KilledError:
        pass
    finally:
        setattr(module, name, original)


class EveryWriter(RuleBasedStateMachine):
    """Three displays, some posts of three days, and all their writers."""

    servers: ClassVar[Settings]

    def __init__(self) -> None:
        super().__init__()
        self.connections = Connections(self.servers)
        self.instance = dg.DagsterInstance.ephemeral()
        self.dagster = Dagster(
            self.instance, build_definitions(self.servers, self.connections), self.connections
        )
        self.assets: list[RecordedAsset] = recorded_assets(
            self.dagster.definitions.resolve_asset_graph()
        )
        self.commands = Commands(
            self.engine,
            self.connections.redis,
            TimelineService(self.engine, window=self.servers.window),
            ttl=self.servers.cache_ttl_seconds,
        )
        self.posts = 0

    @property
    def engine(self) -> Engine:
        return self.connections.engine

    @initialize()
    def begin(self) -> None:
        with self.engine.begin() as connection:
            tables = connection.scalar(text(_TABLES))
            connection.execute(text("DELETE FROM sora_posts"))
            connection.execute(text(f"TRUNCATE {tables}"))
            connection.execute(text("REFRESH MATERIALIZED VIEW video_counts_by_search"))
        self.connections.redis.flushdb()
        self.insert_posts("cat", 6, 0)
        self.insert_posts("dog", 4, 1)
        add_display(self.engine, CODES[0])
        add_playlist(self.engine, CODES[0], [("cat", 3)])

    # What people do by the API and by the command line.

    @rule(display=DISPLAY)
    def create_display(self, display: str) -> None:
        if not self.exists(display):
            self.commands.create_display(display, "a display")

    @rule(display=DISPLAY)
    def delete_display(self, display: str) -> None:
        if self.exists(display):
            self.commands.delete_display(display)

    @rule(display=DISPLAY, lines=LINES)
    def create_playlist(self, display: str, lines: list[tuple[str, int]]) -> None:
        if self.exists(display):
            self.commands.create_playlist(display, "a playlist", _drafts(lines))

    @rule(place=PLACE, lines=LINES)
    def replace_blocks(self, place: int, lines: list[tuple[str, int]]) -> None:
        if playlist := self.pick("playlists", place):
            self.commands.replace_blocks(playlist, _drafts(lines))

    @rule(place=PLACE)
    def activate(self, place: int) -> None:
        if playlist := self.pick("playlists", place):
            self.commands.activate(playlist)

    @rule(place=PLACE)
    def delete_playlist(self, place: int) -> None:
        if playlist := self.pick("playlists", place):
            self.commands.delete_playlist(playlist)

    @rule(term=TERM)
    def watch(self, term: str) -> None:
        self.commands.watch_term(term)

    @rule(term=TERM)
    def unwatch(self, term: str) -> None:
        try:
            self.commands.unwatch_term(term)
        except NotFoundError:
            return

    @rule(display=DISPLAY, times=st.integers(1, 6))
    def play(self, display: str, times: int) -> None:
        for _ in range(times):
            for row in queue_of(self.engine, display)[:1]:
                self.commands.mark_played(display, row.id)

    # What plain SQL does.

    @rule(display=DISPLAY, lines=LINES)
    def insert_display(self, display: str, lines: list[tuple[str, int]]) -> None:
        if not self.exists(display):
            add_display(self.engine, display)
        add_playlist(self.engine, display, lines)

    @rule(display=DISPLAY)
    def remove_display(self, display: str) -> None:
        run(self.engine, "DELETE FROM displays WHERE id = :id", id=display)

    @rule(place=PLACE, term=TERM, count=st.integers(1, 3))
    def edit_block(self, place: int, term: str, count: int) -> None:
        run(
            self.engine,
            "UPDATE playlist_blocks SET search_term = :term, video_count = :count WHERE id = :id",
            id=self.pick("playlist_blocks", place),
            term=term,
            count=count,
        )

    @rule(place=PLACE, table=st.sampled_from(["playlists", "playlist_blocks", "sora_posts"]))
    def remove_row(self, place: int, table: str) -> None:
        run(self.engine, f"DELETE FROM {table} WHERE id = :id", id=self.pick(table, place))

    @rule(term=st.sampled_from(["cat", "dog", "cat dog"]), count=st.integers(1, 4), day=DAY)
    def insert_posts(self, term: str, count: int, day: int) -> None:
        self.posts += 1
        add_posts(self.engine, term, count, prefix=f"p{self.posts}", day=day)

    @rule(place=PLACE, words=st.sampled_from(["a cat", "a dog", "nothing"]), day=DAY)
    def edit_post(self, place: int, words: str, day: int) -> None:
        run(
            self.engine,
            "UPDATE sora_posts SET text = :words, indexed_at = :at, width = 352, height = 640"
            " WHERE id = :id",
            id=self.pick("sora_posts", place),
            words=words,
            at=START + timedelta(days=day),
        )

    # What machines do.

    @rule()
    def tick_sensors(self) -> None:
        for sensor in ("unsettled", "new_posts"):
            for ran in self.dagster.tick(sensor):
                # A playlist without blocks cannot be planned, which fails a run of one display.
                assert ran.success or ran.get_failed_step_keys() == {"display_timelines"}

    @rule(by_hand=st.booleans())
    def rebuild(self, *, by_hand: bool) -> None:
        if self.connections.settler.all_displays():
            self.dagster.rebuild(by_hand=by_hand)

    @rule(days=st.sets(DAY, min_size=1), recount=st.booleans())
    def refresh_counts(self, days: set[int], *, recount: bool) -> None:
        request = run_over_days(
            REFRESH_COUNTS, [(START + timedelta(days=day)).date() for day in days]
        )
        config = dict(request.run_config)
        config["ops"]["video_counts_daily"]["config"]["recount"] = recount
        assert self.dagster.run(REFRESH_COUNTS, tags=request.tags, config=config).success

    @rule()
    def settle_changed(self) -> None:
        self.connections.settler.settle_changed()

    @rule()
    def count_jobs(self) -> None:
        self.connections.settler.count_waiting_terms()

    @rule()
    def record(self) -> None:
        self.dagster.record()

    @rule()
    def mend(self) -> None:
        mend(self.connections, self.instance, self.assets)

    # What is killed.

    @rule()
    def be_killed_between_dagster_and_the_mark(self) -> None:
        with killed_after(recording, "store_events"):
            self.dagster.record()

    @rule()
    def be_killed_in_a_run(self) -> None:
        with killed_after(recording, "store_events"):
            if self.connections.settler.all_displays():
                self.dagster.rebuild()

    @rule(what=st.sampled_from(["settle", "counts", "overview"]))
    def be_killed_between_redis_and_the_record(self, what: str) -> None:
        settler = self.connections.settler
        with killed_after(cache, "write_snapshots"):
            if what == "settle":
                settler.settle(settler.all_displays())
            elif what == "counts":
                settler.write_counts()
            else:
                settler.cache_overview()

    # What is true at the end.

    def teardown(self) -> None:
        try:
            self.be_true()
        finally:
            self.connections.close()
            self.instance.dispose()

    def be_true(self) -> None:
        settler = self.connections.settler
        for _ in range(8):
            settler.settle_changed()
            settler.count_waiting_terms()
            self.tick_sensors()
            mended = mend(self.connections, self.instance, self.assets)
            if not self.dagster.record() and not mended:
                break
        else:
            pytest.fail("it does not become quiet")
        lineage = self.dagster.lineage()
        assert lineage.differing == {}
        assert lineage.waiting == 0
        displays = settler.all_displays()
        assert check_queues(self.engine, displays, self.servers.window) == {}
        assert check_plans(self.engine, displays) == {}
        recount = sample_recount(self.engine, seed=0, size=1_000)
        assert [sample for sample in recount if sample.stored != sample.recounted] == []
        pool_size = self.servers.candidates_per_pool
        pools = sample_pools(self.engine, seed=0, size=1_000, pool_size=pool_size)
        assert [sample for sample in pools if not sample.is_equal] == []
        assert [record for record, events in self.recorded().items() if events > 1] == []

    def recorded(self) -> Counter[str]:
        """The number of events in Dagster for each lineage record."""
        fetches = (self.instance.fetch_materializations, self.instance.fetch_observations)
        return Counter(
            (event.tags or {})[LINEAGE_TAG]
            for asset in self.assets
            for fetch in fetches
            for entry in fetch(dg.AssetKey(asset.name), limit=10_000).records
            if (event := entry.asset_materialization or entry.asset_observation)
        )

    def exists(self, display: str) -> bool:
        return bool(run(self.engine, "SELECT FROM displays WHERE id = :id", id=display))

    def pick(self, table: str, place: int) -> Any:
        """The id of some row, or None."""
        rows = run(self.engine, f"SELECT id FROM {table} ORDER BY id")
        return rows[place % len(rows)].id if rows else None


def _drafts(lines: list[tuple[str, int]]) -> list[BlockDraft]:
    return [BlockDraft(term, count) for term, count in lines]


def test_recorded_is_stored_whoever_writes(request: pytest.FixtureRequest) -> None:
    EveryWriter.servers = request.getfixturevalue("settings")
    is_long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        EveryWriter,
        settings=settings(
            max_examples=200 if is_long else 4,
            stateful_step_count=40 if is_long else 12,
            derandomize=not is_long,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

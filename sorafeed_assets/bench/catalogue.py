"""The servers and catalogues of the benchmarks, built once per seed and size, then reused."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import psutil
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.bench.measuring import Progress
from sorafeed_assets.demo.catalogue import Post, generate_day
from sorafeed_assets.demo.playlists import bench_terms
from sorafeed_assets.demo.seed import seed_catalog
from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.services.counts.reads import count_posts
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.benchmarks import catalogue as sql
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets.storage.catalog.bulk import copy_new
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.postgres.tables import sora_posts

LAST_DAY: Final = date(2026, 3, 1)
_FIRST_DAY: Final = date(2026, 1, 1)
_CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is; ``effort`` is the share of the usual repetitions."""

    posts: int = 3_100_000
    terms: int = 200
    displays: int = 1_000
    seed: int = 1
    rounds: int = 3
    new_posts: int = 5_000
    effort: float = 1.0

    def times(self, usual: int) -> int:
        """The number of repetitions of work that is usually repeated ``usual`` times."""
        return max(2, round(usual * self.effort))


@dataclass(slots=True)
class Bench:
    """Running servers, and the scale of what is measured on them."""

    folder: Path
    postgres: EmbeddedPostgres
    redis_url: str
    settings: Settings
    scale: Scale
    progress: Progress
    _engines: dict[int, Engine] = field(default_factory=dict)

    @property
    def redis(self) -> Redis:
        """A client of the bench's Redis."""
        return create_redis_client(self.redis_url)

    def empty_dagster(self) -> str:
        """The address of an empty database for Dagster; one that was there is removed.

        A benchmark that was killed leaves a run in progress, for which a sensor would wait.
        """
        self.postgres.drop_database("dagster")
        return self.postgres.create_database("dagster").replace("://", "+psycopg2://", 1)

    def catalogue(self, posts: int) -> Engine:
        """A database with ``posts`` posts, the scale's terms tracked, and all of them counted."""
        engine = self._engines.get(posts)
        if engine is None:
            url = self.postgres.create_database(f"bench_{self.scale.seed}_{posts}")
            engine = create_database_engine(url, self.settings, pool_size=_CONNECTIONS)
            self._engines[posts] = engine
            migrate(engine)
            rewind(engine)
            if count_posts(engine) != posts:
                self._load(engine, posts)
            self.track(engine, bench_terms(self.scale.terms, self.scale.seed))
            _keep(engine)
        return engine

    def _load(self, engine: Engine, posts: int) -> None:
        seed_catalog(
            engine,
            posts=posts,
            seed=self.scale.seed,
            until=LAST_DAY,
            first_day=_FIRST_DAY,
            on_progress=lambda done, total: self.progress("Loading posts", done, total),
            on_indexes=lambda done, total: self.progress("Building indexes", done, total),
        )

    def track(self, engine: Engine, terms: Sequence[str]) -> None:
        """Make exactly these the tracked terms, and bring their counts and pools up to date."""
        queries = [parse_query(term) for term in terms]
        with engine.begin() as connection:
            sql.track_exactly(connection, queries)
        refresh_days(
            engine,
            None,
            pool_size=self.settings.candidates_per_pool,
            on_progress=lambda done, total: self.progress("Counting", done, total),
        )
        refresh_totals(engine)

    def close(self) -> None:
        """Close every connection."""
        for engine in self._engines.values():
            engine.dispose()


@contextmanager
def open_bench(
    folder: Path, settings: Settings, scale: Scale, progress: Progress
) -> Iterator[Bench]:
    """Run servers in ``folder`` for as long as the block lasts; no other process may use it."""
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(folder / "postgres", _buffers())
        stack.callback(postgres.stop)
        postgres.start()
        redis = EmbeddedRedis(folder / "redis", persist=False)
        stack.callback(redis.stop)
        redis.start()
        bench = Bench(folder, postgres, redis.url, settings, scale, progress)
        stack.callback(bench.close)
        yield bench


def _buffers() -> dict[str, str]:
    """A quarter of the memory, as a production server has; both sides benefit."""
    megabytes = psutil.virtual_memory().total // 4 // 2**20
    return {"shared_buffers": f"{max(128, megabytes)}MB"}


def _keep(engine: Engine) -> None:
    """Save the state of the catalogue, for `rewind`."""
    with engine.begin() as connection:
        sql.keep(connection)
    _tidy(engine)


def rewind(engine: Engine) -> None:
    """Restore the saved catalogue, also after an interrupted run."""
    with engine.begin() as connection:
        if not sql.is_kept(connection):
            return
        sql.put_back(connection)
    _tidy(engine)


def _tidy(engine: Engine) -> None:
    """Do what autovacuum does within a minute."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        sql.vacuum(connection)


def warm(engine: Engine) -> None:
    """Load the posts and the search indexes into memory for both sides, as in production."""
    with engine.begin() as connection:
        sql.warm(connection)


def new_posts(count: int, seed: int) -> Iterator[Post]:
    """``count`` new posts of the last catalog day, as a scanner inserts them."""
    return (
        post._replace(id=sql.ADDED + post.id[2:]) for post in generate_day(LAST_DAY, count, seed)
    )


def add_posts(engine: Engine, count: int, seed: int) -> None:
    """Store new posts in one batch."""
    with engine.begin() as connection:
        copy_new(connection, sora_posts, Post._fields, new_posts(count, seed))

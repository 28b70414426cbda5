"""What the commands share: the console, settings with --data-dir, an engine, plain errors.

What takes long to import is imported when it is called, so that help and completion are quick.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from sorafeed_assets.domain.errors import PlanAuditError, SetupError
from sorafeed_assets.domain.text import counted
from sorafeed_assets.domain.wording import no_post_matches, too_few_posts_match

if TYPE_CHECKING:
    from redis import Redis
    from rich.progress import TaskID
    from sqlalchemy import Engine

    from sorafeed_assets.services.commands import Change, Commands
    from sorafeed_assets.settings import Settings

_SECONDS_A_LINE: Final = 5.0
_UNLIMITED: Final = 10_000  # columns


def _create_console(*, stderr: bool = False) -> Console:
    """A console that cuts and wraps nothing where its output is not a terminal."""
    created = Console(stderr=stderr)
    if not created.is_terminal:
        created.width = _UNLIMITED
    return created


console = _create_console()
errors = _create_console(stderr=True)


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded servers and of Dagster's files."),
]


def settings_of(data_dir: Path | None) -> "Settings":
    """The settings, with ``--data-dir`` on top."""
    from sorafeed_assets.settings import load_settings

    return load_settings(**({"data_dir": data_dir} if data_dir else {}))


def engine_of(settings: "Settings") -> "Engine":
    """An engine on the project's database."""
    from sorafeed_assets.storage.postgres.engine import create_database_engine

    if settings.database_url is None:
        raise SetupError("no database address; run `sorafeed up`")
    return create_database_engine(str(settings.database_url), settings)


@contextmanager
def redis_of(settings: "Settings") -> Iterator["Redis"]:
    """A client of the project's Redis."""
    from sorafeed_assets.storage.cache.redis import create_redis_client

    if settings.redis_url is None:
        raise SetupError("no Redis address; run `sorafeed up`")
    with create_redis_client(str(settings.redis_url)) as redis:
        yield redis


@contextmanager
def database(
    data_dir: Path | None, *, with_indexes: bool = True
) -> Iterator[tuple["Engine", "Settings"]]:
    """A migrated database: the configured one, a running `up`'s, or the data folder's own.

    For ``with_indexes`` see `migrate`.
    """
    from sorafeed_assets.launch.servers import servers
    from sorafeed_assets.storage.postgres.migrate import migrate

    with servers(settings_of(data_dir)) as settings:
        engine = engine_of(settings)
        try:
            migrate(engine, with_indexes=with_indexes)
            yield engine, settings
        finally:
            engine.dispose()


@contextmanager
def commands_on(data_dir: Path | None) -> Iterator["Commands"]:
    """The commands that the API uses too, on the servers of ``data_dir``."""
    from sorafeed_assets.services.commands import Commands
    from sorafeed_assets.services.timelines.service import TimelineService

    with database(data_dir) as (engine, settings), redis_of(settings) as redis:
        timelines = TimelineService(
            engine, window=settings.window, candidates_per_pool=settings.candidates_per_pool
        )
        yield Commands(
            engine,
            redis,
            timelines,
            ttl=settings.cache_ttl_seconds,
            pool_size=settings.candidates_per_pool,
        )


def announce(commands: "Commands", change: "Change", done: str) -> None:
    """Print what was done to a display, how many videos are planned, and why there are few.

    Raises:
        PlanAuditError: the display stays on its last good plan.
    """
    from sorafeed_assets.domain.timelines.plan import Tier

    code = change.display_id
    if change.problem is not None:
        raise PlanAuditError(f"the change is stored, but {code} cannot play it: {change.problem}")
    view = commands.timeline(code)
    queued = len(view.next) + (view.now is not None)
    planned = queued + len(view.planned)
    console.print(f"{done}: {counted(planned, 'video')} planned, {queued} queued")
    repeated = dict.fromkeys(each.search_term for each in view.ahead if each.tier == Tier.REPEAT)
    few = [
        *map(no_post_matches, dict.fromkeys(view.dry_blocks.values())),
        *map(too_few_posts_match, repeated),
    ]
    for sentence in few:
        say(sentence)
    if few:
        nothing = "" if planned else f"{code} has nothing to play. "
        say(f"{nothing}Change the search or the format of the block, or its number of videos.")


def say(line: str) -> None:
    """Print one line to standard error, as it is."""
    errors.print(line, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Progress bars that appear when their step reports for the first time.

    Where output is not a terminal, it prints lines with the seconds since the start: when a
    step begins, every few seconds, and when the step is done.
    """

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=errors,
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}
        self._began = time.monotonic()

    def __enter__(self) -> "Bars":
        if errors.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if errors.is_terminal:
            self._progress.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Move the bar of ``step``, or print a line about it."""
        if not errors.is_terminal:
            self._print(step, done, total)
            return
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)

    def _print(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        is_due = now - self._printed.get(step, -_SECONDS_A_LINE) >= _SECONDS_A_LINE
        if is_due or done == total:
            self._printed[step] = now
            line = f"{now - self._began:6.0f} s  {step}: {done:,} of {total:,}"
            errors.print(line, markup=False, highlight=False, soft_wrap=True)

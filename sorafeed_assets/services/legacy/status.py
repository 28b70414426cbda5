"""How far behind each side of the old system is, and what differs.

It reads both sides and writes nothing; a side that cannot be read is reported as its problem.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.legacy.queues import Problem
from sorafeed_assets.services.legacy.catalog import CREATORS, POSTS
from sorafeed_assets.storage.legacy.comparisons import Comparison, read_comparisons
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog, old_catalog
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets.storage.legacy.posts import Cursor, read_cursors, unknown_posts
from sorafeed_assets.storage.legacy.queues import read_file, read_problems

_FEW: Final = 20_000


@dataclass(frozen=True, slots=True)
class CatalogStatus:
    """How far the old catalogue is copied.

    Attributes:
        problem: why the old catalogue cannot be read now.
        is_copied: whether the first copy is complete.
        copied_to: all posts indexed before this are here.
        newest: when the newest post there was indexed.
        waiting: how many posts there are not copied yet.
        looked_at: when it was last read to its end.
        compared: how many parts (days, creators) were compared.
        repaired: how many rows the last comparisons copied again.
        only_here: how many rows of the compared parts exist only here.
        differing: the parts of which the last comparison found a difference.
    """

    problem: str | None
    is_copied: bool
    copied_to: datetime | None
    newest: datetime | None
    waiting: int | None
    looked_at: datetime | None
    compared: int
    repaired: int
    only_here: int
    differing: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class QueuesStatus:
    """How far the old queues are imported.

    Attributes:
        problem: why the file cannot be read now.
        is_current: whether the file has not been written since the last import.
        imported_at: when it was last imported.
        looked_at: when all that it had was last known to be imported.
        found: how many displays, playlists and plays it had then.
        problems: what was not taken then, and why.
    """

    problem: str | None
    is_current: bool
    imported_at: datetime | None
    looked_at: datetime | None
    found: Mapping[str, int]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class LegacyStatus:
    """Both sides; None for one that is not configured."""

    catalog: CatalogStatus | None
    queues: QueuesStatus | None

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Why a side cannot be read now, for each that cannot."""
        sides = (self.catalog, self.queues)
        return tuple(side.problem for side in sides if side is not None and side.problem)

    def as_json(self) -> dict[str, object]:
        """The figures, for programs; times are ISO 8601."""
        return {
            "catalog": None if self.catalog is None else _plain(asdict(self.catalog)),
            "queues": None
            if self.queues is None
            else _plain(
                {
                    **asdict(self.queues),
                    "problems": [each._asdict() for each in self.queues.problems],
                }
            ),
        }


def legacy_status(engine: Engine, catalog_url: str | None, queues: Path | None) -> LegacyStatus:
    """The status of the sides that are configured."""
    return LegacyStatus(
        None if catalog_url is None else _catalog(engine, catalog_url),
        None if queues is None else _queues(engine, queues),
    )


def _catalog(engine: Engine, url: str) -> CatalogStatus:
    with engine.connect() as connection:
        cursors = read_cursors(connection)
        compared = read_comparisons(connection)
    posts = cursors.get(POSTS)
    problem = newest = waiting = None
    try:
        with old_catalog(url) as old:
            newest, waiting = _ahead(old, engine, posts)
    except SorafeedError as error:
        problem = str(error)
    return CatalogStatus(
        problem,
        all(name in cursors and cursors[name].is_complete for name in (CREATORS, POSTS)),
        None if posts is None else posts.indexed_at,
        newest,
        waiting,
        None if posts is None else posts.looked_at,
        len(compared),
        sum(each.repaired for each in compared),
        sum(each.only_here for each in compared),
        tuple(each for each in compared if each.repaired or each.only_here),
    )


def _ahead(
    old: OldCatalog, engine: Engine, posts: Cursor | None
) -> tuple[datetime | None, int | None]:
    """When the newest post there was indexed, and how many wait to be copied."""
    bounds = old.bounds()
    newest = None if bounds is None else bounds[1]
    if posts is None or posts.indexed_at is None:
        return newest, old.estimate("sora_posts")
    waiting = old.count_since(posts.indexed_at)
    if waiting > _FEW:
        return newest, waiting
    # Those after the cursor may be copied already, as they are while the catalogue is followed.
    ids = old.tail(posts.indexed_at)
    with engine.connect() as connection:
        return newest, len(unknown_posts(connection, ids))


def _queues(engine: Engine, path: Path) -> QueuesStatus:
    problem, counter = None, -1
    try:
        # Read as an import reads it: of a torn file, or one of another schema, the header is right.
        with old_queues(path) as file:
            counter = file.change_counter
    except SorafeedError as error:
        problem = str(error)
    with engine.connect() as connection:
        imported = read_file(connection, str(path.resolve()))
        problems = tuple(read_problems(connection))
    if imported is None:
        return QueuesStatus(
            problem, is_current=False, imported_at=None, looked_at=None, found={}, problems=()
        )
    return QueuesStatus(
        problem,
        imported.change_counter == counter,
        imported.imported_at,
        imported.looked_at,
        imported.figures,
        problems,
    )


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    """Values as JSON has them."""
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_plain_value(each) for each in value]
    return value

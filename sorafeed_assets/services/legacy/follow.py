"""One pass of each kind over the old system, for the loop that follows it.

Not here: how often they run, and what happens after an error (`launch.legacy`).
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.services.legacy.catalog import (
    CREATORS,
    POSTS,
    Copied,
    Progress,
    follow_catalog,
    import_catalog,
)
from sorafeed_assets.services.legacy.queues import (
    QueuesImport,
    import_queues,
    settle_imported,
)
from sorafeed_assets.services.legacy.reconcile import due_part, reconcile
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.storage.legacy.comparisons import Comparison
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog
from sorafeed_assets.storage.legacy.old_queues import change_counter, old_queues
from sorafeed_assets.storage.legacy.posts import read_cursors
from sorafeed_assets.storage.legacy.queues import note_unchanged, read_file
from sorafeed_assets.storage.postgres.indexes import missing_indexes

# Plays are read again from the day before the last import on, as they may arrive late.
_EARLIER: Final = timedelta(days=1)


def copy_new_posts(
    engine: Engine, old: OldCatalog, on_progress: Progress = lambda *_: None
) -> Copied:
    """Copy what is new in the old catalogue; if the first copy is not complete, all of it."""
    if is_copied(engine):
        return follow_catalog(engine, old, on_progress)
    return import_catalog(engine, old, on_progress)


def continue_copy(engine: Engine, old: OldCatalog, on_progress: Progress) -> Copied:
    """`copy_new_posts`, and the indexes that an interrupted first copy has not built."""
    with engine.connect() as connection:
        are_missing = bool(missing_indexes(connection))
    if are_missing:
        return import_catalog(engine, old, on_progress)
    return copy_new_posts(engine, old, on_progress)


def is_copied(engine: Engine) -> bool:
    """Whether the old catalogue was copied to its end once."""
    with engine.connect() as connection:
        cursors = read_cursors(connection)
    return all(name in cursors and cursors[name].is_complete for name in (CREATORS, POSTS))


def compare_due(engine: Engine, old: OldCatalog) -> Comparison | None:
    """Compare the part that is due, if one is."""
    part = due_part(engine, old)
    return None if part is None else reconcile(engine, old, part)


def import_changed_queues(
    engine: Engine, settler: Settler, path: Path, *, with_posts: bool
) -> QueuesImport | None:
    """Import the old queues if their file was written since the last import, and settle."""
    place = str(path.resolve())
    with engine.connect() as connection:
        last = read_file(connection, place)
    if last is not None and last.change_counter == change_counter(path):
        with engine.begin() as connection:
            note_unchanged(connection, place)
        return None
    since = None if last is None else _day_before(last.imported_at)
    with old_queues(path) as file:
        done = import_queues(engine, file, path, since=since, with_posts=with_posts)
    settle_imported(engine, settler, done.changed)
    return done


def _day_before(at: datetime) -> str:
    return f"{at - _EARLIER:%Y-%m-%d}"

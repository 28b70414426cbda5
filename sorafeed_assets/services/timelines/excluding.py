"""Excluding posts and creators from the wall, and allowing them again.

The change and a note of the displays concerned are one transaction; its caller settles them. Counts
and pools follow by the next refresh, see `services.counts.refresh`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.blocklist import Target, check_note
from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.services.flags.changes import load_values
from sorafeed_assets.services.timelines.driving import Driver, driven_by
from sorafeed_assets.storage.catalog import blocklist
from sorafeed_assets.storage.catalog.blocklist import Described, Entry
from sorafeed_assets.storage.playlists.changes import note_displays
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.timelines.excluded import displays_playing, queued_excluded


@dataclass(frozen=True, slots=True)
class Excluded:
    """An entry of the blocklist, whether it is new, and the displays that play such posts."""

    entry: Entry
    is_new: bool
    displays: tuple[str, ...]


def concerned_displays(engine: Engine, target: Target) -> list[str]:
    """The displays whose plan has the post, or posts of the creator.

    Raises:
        NotFoundError: the catalogue has no such post or creator.
    """
    with engine.connect() as connection:
        if not blocklist.target_exists(connection, target):
            raise _not_found(target)
        return displays_playing(connection, target)


def describe(engine: Engine, target: Target) -> Described:
    """What a post or creator is called."""
    with engine.connect() as connection:
        return blocklist.describe_target(connection, target)


@retried
def exclude(engine: Engine, target: Target, *, by: str, note: str = "") -> Excluded:
    """Put a post or creator on the blocklist; one that is there keeps its entry.

    Args:
        engine: the database.
        target: the post or creator.
        by: who does it: the name of a token, or a command.
        note: the reason, for people.

    Raises:
        InvalidInputError: the note is too long.
        NotFoundError: the catalogue has no such post or creator.
    """
    checked = check_note(note)
    with engine.begin() as connection:
        entry = blocklist.load_entry(connection, target)
        is_new = entry is None
        if entry is None:
            if not blocklist.target_exists(connection, target):
                raise _not_found(target)
            is_new = blocklist.add_target(connection, target, by, checked)
            entry = blocklist.load_entry(connection, target)
        if entry is None:
            raise NotFoundError(f"{target} was allowed again in the meantime")
        displays = displays_playing(connection, target)
        if displays:
            note_displays(connection, displays)
    return Excluded(entry, is_new, tuple(displays))


@retried
def allow(engine: Engine, target: Target) -> bool:
    """Take a post or creator off the blocklist; False when it was not on it."""
    with engine.begin() as connection:
        return blocklist.remove_target(connection, target)


def list_blocklist(
    engine: Engine, most: int, after: tuple[datetime, Target] | None = None
) -> list[Entry]:
    """The next entries of the blocklist, the latest first."""
    with engine.connect() as connection:
        return blocklist.list_entries(connection, most, after)


def excluded_on(engine: Engine, display_ids: Collection[str] | None = None) -> dict[str, str]:
    """Display → which excluded posts its queue still has, of some displays or of all.

    Displays that the old system drives are left out.
    A plan that was made while a post was excluded may have it until this is seen.
    """
    with engine.connect() as connection:
        found = queued_excluded(connection, display_ids)
        old = driven_by(load_values(connection), [Driver.OLD], found) if found else set()
    return {name: f"excluded: {', '.join(found[name])}" for name in found if name not in old}


def check_excluded(engine: Engine, display_ids: Collection[str]) -> dict[str, list[str]]:
    """Queues that have excluded posts, but for those of displays that the old system drives."""
    found = excluded_on(engine, display_ids)
    return {name: [f"its queue has posts that are {posts}"] for name, posts in found.items()}


def _not_found(target: Target) -> NotFoundError:
    return NotFoundError(
        f"the catalogue has no {target}; find its id on the page Posts of the admin page"
    )

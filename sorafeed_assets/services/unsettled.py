"""Late work: displays that wait to be settled, and records that wait for Dagster."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Engine

from sorafeed_assets.services.settle import PER_DISPLAY
from sorafeed_assets.storage.lineage_records import heads, made_since, waiting_partitions
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets.storage.playlists.rows import undecided_displays
from sorafeed_assets.storage.playlists.timetables import due_displays


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """Asset → since when a record of it waits, as ISO 8601; and the catalog days that wait."""

    since: dict[str, str]
    days: tuple[date, ...]

    def __bool__(self) -> bool:
        return bool(self.since)


def waiting_displays(engine: Engine, *, older_than: timedelta) -> dict[str, str]:
    """Display → since when it waits to be settled, or which decision or switch it waits for."""
    limit = datetime.now(UTC) - older_than
    with engine.connect() as connection:
        changed = changed_displays(connection)
        undecided = undecided_displays(connection)
        due = due_displays(connection, older_than)
    late = {name: since.isoformat() for name, since in changed.items() if since <= limit}
    return dict.fromkeys(undecided, "no playlist was chosen") | due | late


def uncached_displays(engine: Engine) -> dict[str, str]:
    """Display → the version of its plan, if Redis has no snapshot of that version."""
    with engine.connect() as connection:
        planned = heads(connection, "display_timelines").get("display_timelines", {})
        cached = heads(connection, "timeline_cache").get("timeline_cache", {})
    return {name: version for name, version in planned.items() if cached.get(name) != version}


def are_cached_since(engine: Engine, moment: datetime) -> bool:
    """Whether the snapshot of every plan was made after a moment."""
    with engine.connect() as connection:
        planned = heads(connection, "display_timelines").get("display_timelines", {})
        cached = made_since(connection, "timeline_cache", moment)
    return planned.keys() <= cached


def unrecorded_displays(engine: Engine, *, older_than: timedelta) -> set[str]:
    """Displays with a lineage record that has waited longer than this."""
    limit = datetime.now(UTC) - older_than
    with engine.connect() as connection:
        return {
            partition
            for asset in PER_DISPLAY
            for partition, since in waiting_partitions(connection, asset).items()
            if since <= limit
        }


def unrecorded_assets(
    engine: Engine, assets: Collection[str], first: date, last: date, *, older_than: timedelta
) -> Unrecorded:
    """Those of ``assets`` with a lineage record that has waited longer than this.

    Records of catalog days before ``first`` or after ``last`` are ignored: they have no partition.
    """
    limit = datetime.now(UTC) - older_than
    since: dict[str, str] = {}
    days: set[date] = set()
    with engine.connect() as connection:
        for asset in assets:
            late = {
                partition: at
                for partition, at in waiting_partitions(connection, asset).items()
                if at <= limit and (not partition or first <= date.fromisoformat(partition) <= last)
            }
            if late:
                since[asset] = min(late.values()).isoformat()
                days |= {date.fromisoformat(partition) for partition in late if partition}
    return Unrecorded(since, tuple(sorted(days)))

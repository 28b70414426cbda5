"""Importing the old system's displays, playlists and plays, again and again.

An import is one transaction, and nothing is deleted by it. What changed only there is taken, what
changed only here stays, and what changed on both sides is a conflict, which is shown. Afterwards
the displays are settled as after any other change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.batches import streamed
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.domain.legacy.merge import Merge, merge
from sorafeed_assets.domain.legacy.posts import StoredPost, stored_post
from sorafeed_assets.domain.legacy.queues import (
    OldWall,
    PlayReader,
    Problem,
    playlist_digest,
    queue_problems,
    read_wall,
)
from sorafeed_assets.domain.legacy.values import clean_text
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.storage.catalog.bulk import merge_new
from sorafeed_assets.storage.legacy import queues as ours
from sorafeed_assets.storage.legacy.old_queues import OldQueues
from sorafeed_assets.storage.legacy.posts import unknown_posts
from sorafeed_assets.storage.playlists.changes import note_displays
from sorafeed_assets.storage.playlists.rows import (
    load_active_playlists,
    load_playlists,
    lock_displays,
    rename_display,
    set_active,
)
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.postgres.tables import sora_posts

_POSTS_AT_ONCE: Final = 1_000
_NONE: Final = "none"

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class QueuesImport:
    """What an import of the queues did.

    Attributes:
        found: how many displays, playlists and plays were read and can be taken.
        written: how many displays, playlists, plays and posts were stored or changed.
        changed: the displays concerned, to be settled.
        problems: what was not taken, and why.
    """

    found: Mapping[str, int]
    written: Mapping[str, int]
    changed: Sequence[str]
    problems: Sequence[Problem]


@dataclass(slots=True)
class _Decisions:
    """Which rows are taken, and what both sides have then."""

    taken: list[_Key] = field(default_factory=list)
    digests: dict[_Key, str] = field(default_factory=dict)
    conflicts: list[Problem] = field(default_factory=list)

    def displays(self, wall: OldWall) -> set[str]:
        """The displays of the taken rows."""
        return {
            wall.playlists[UUID(row_id)].display_id if kind == "playlist" else row_id
            for kind, row_id in self.taken
        }


@retried
def import_queues(
    engine: Engine,
    file: OldQueues,
    path: Path,
    *,
    since: str | None = None,
    with_posts: bool = False,
) -> QueuesImport:
    """Import displays, playlists and plays, the latter since a day (``YYYY-MM-DD``) or all.

    ``with_posts`` also takes posts that neither catalogue has.
    """
    wall = read_wall(
        file.rows("displays"),
        file.rows("playlists"),
        file.rows("playlist_blocks"),
    )
    plays = PlayReader(wall.refused)
    with engine.begin() as connection:
        # Before the displays are locked: reading millions takes a while.
        ours.stage_plays(connection, plays.read(file.plays(since)))
        decided = _decide(connection, wall)
        concerned = decided.displays(wall)
        if concerned:
            lock_displays(connection, concerned)
            decided = _decide(connection, wall)
        _take(connection, wall, decided.taken)
        ours.store_imports(connection, decided.digests)
        played = ours.add_staged_plays(connection)
        posts = _add_posts(connection, file) if with_posts else 0
        problems = [
            *wall.problems,
            *plays.problems,
            *decided.conflicts,
            *_deleted(connection, wall),
            *queue_problems(wall, file.queued()),
        ]
        ours.store_problems(connection, problems)
        here = ours.display_names(connection)
        changed = sorted(decided.displays(wall) | (played.keys() & here.keys()))
        if changed:
            # As after any other change: `react` settles them if this process is killed before.
            note_displays(connection, changed)
        found = {
            "displays": len(wall.displays),
            "playlists": len(wall.playlists),
            "plays": plays.found,
        }
        figures = {**found, "plays": file.count_plays()}
        ours.store_file(connection, str(path.resolve()), file.change_counter, figures)
    kinds = [kind for kind, _ in decided.taken]
    written = {
        "displays": kinds.count("display"),
        "playlists": kinds.count("playlist"),
        "activations": kinds.count("active"),
        "plays": sum(played.values()),
        "posts": posts,
    }
    return QueuesImport(found, written, changed, sorted(set(problems)))


def settle_imported(engine: Engine, settler: Settler, display_ids: Sequence[str]) -> None:
    """Settle displays after an import; their plans then count what was played there.

    A new playlist starts afresh, so the plays of a new display count from its second settling on.
    """
    if display_ids:
        settler.settle(display_ids)
    with engine.begin() as connection:
        uncounted = ours.uncounted_displays(connection)
        lock_displays(connection, uncounted)
        counted = ours.count_plays(connection, uncounted)
        ours.store_imports(connection, {("plays", name): "counted" for name in uncounted})
        if counted:
            note_displays(connection, counted)
    if counted:
        settler.settle(counted)


def idle_displays(connection: Connection) -> set[str]:
    """Displays that had no active playlist in the old system at their last import."""
    known = ours.read_imports(connection)
    return {name for (kind, name), chosen in known.items() if (kind, chosen) == ("active", _NONE)}


def _decide(connection: Connection, wall: OldWall) -> _Decisions:
    base = ours.read_imports(connection)
    decided = _Decisions()
    if all(base.get(key) == digest for key, digest in _digests(wall).items()):
        return decided  # nothing changed there, so ours stays as it is
    names = ours.display_names(connection)
    for display in wall.displays.values():
        name = names.get(display.id)
        _decide_one(
            decided,
            ("display", display.id),
            base.get(("display", display.id)),
            display.digest,
            None if name is None else content_digest([name]),
            f"display {display.id}",
        )
    here = _here(names, decided)
    stored = {each.id: each for each in load_playlists(connection)}
    for playlist in wall.playlists.values():
        if playlist.display_id not in here:
            continue  # the display was deleted here, and its playlists with it
        mine = stored.get(playlist.id)
        key = ("playlist", str(playlist.id))
        _decide_one(
            decided,
            key,
            base.get(key),
            playlist.digest,
            None if mine is None else playlist_digest(mine.display_id, mine.name, mine.blocks),
            f"playlist {playlist.name!r} ({playlist.id}) of display {playlist.display_id}",
        )
    # Which display each playlist belongs to once the taken ones are stored.
    homes = {str(each.id): each.display_id for each in stored.values()}
    for kind, row_id in decided.taken:
        if kind == "playlist":
            homes[row_id] = wall.playlists[UUID(row_id)].display_id
    active = {name: chosen for name, chosen in wall.active().items() if homes.get(chosen) == name}
    new = wall.displays.keys() - names.keys()
    _decide_active(connection, active, decided, base, here - new)
    for display_id in here & new:
        key = ("active", display_id)
        decided.digests[key] = active.get(display_id, _NONE)
        if display_id in active:
            decided.taken.append(key)
    return decided


def _digests(wall: OldWall) -> dict[_Key, str]:
    """What the old side has now."""
    return {
        **{("display", each.id): each.digest for each in wall.displays.values()},
        **{("playlist", str(each.id)): each.digest for each in wall.playlists.values()},
        **{("active", name): active for name, active in wall.active().items() if active},
    }


def _decide_active(
    connection: Connection,
    active: Mapping[str, str],
    decided: _Decisions,
    base: Mapping[_Key, str],
    here: set[str],
) -> None:
    """Decide which playlist is active; where there is none, by the rules of this system."""
    ours_active = load_active_playlists(connection)
    for display_id in sorted(active.keys() & here):
        key = ("active", display_id)
        mine = ours_active.get(display_id)
        mine_id = None if mine is None else str(mine.id)
        # Where none was active there, settling chose one here, which is no change by a person.
        known_base = mine_id if base.get(key) == _NONE else base.get(key)
        _decide_one(
            decided,
            key,
            known_base,
            active[display_id],
            mine_id,
            f"the active playlist of display {display_id}",
        )


def _here(names: Mapping[str, str], decided: _Decisions) -> set[str]:
    return names.keys() | {row_id for kind, row_id in decided.taken if kind == "display"}


def _decide_one(
    decided: _Decisions, key: _Key, base: str | None, old: str, mine: str | None, place: str
) -> None:
    match merge(base, old, mine):
        case Merge.SAME:
            decided.digests[key] = old
        case Merge.TAKE_OLD:
            decided.taken.append(key)
            decided.digests[key] = old
        case Merge.CONFLICT:
            what = (
                "was deleted here, and changed there since the last import"
                if mine is None
                else "differs from the old system's, and was never imported"
                if base is None
                else "was changed on both sides since the last import"
            )
            text = f"{what}; ours stays. Make both the same, in either system, to end the conflict"
            decided.conflicts.append(Problem("conflict", place, text))
        case Merge.KEEP_OURS:
            pass


def _deleted(connection: Connection, wall: OldWall) -> Iterator[Problem]:
    """What was imported once, is here, and is no longer there."""
    here = {
        "display": {name: f"display {name}" for name in ours.display_names(connection)},
        "playlist": {
            str(each.id): f"playlist {each.name!r} ({each.id}) of display {each.display_id}"
            for each in load_playlists(connection)
        },
    }
    there = {"display": set(wall.displays), "playlist": set(map(str, wall.playlists))}
    for kind, row_id in sorted(ours.read_imports(connection)):
        place = here.get(kind, {}).get(row_id)
        if place is None or row_id in there[kind] or row_id in wall.refused:
            continue
        text = "was deleted there and stays here; delete it here too, unless it is needed"
        yield Problem("deleted", place, text)


def _take(connection: Connection, wall: OldWall, taken: Sequence[_Key]) -> None:
    known = ours.display_names(connection)
    active: dict[str, UUID] = {}
    for kind, row_id in taken:
        if kind == "display":
            display = wall.displays[row_id]
            if row_id in known:
                rename_display(connection, row_id, display.name)
            else:
                ours.add_display(connection, display)
        elif kind == "playlist":
            ours.write_playlist(connection, wall.playlists[UUID(row_id)])
        else:
            active[row_id] = UUID(wall.active()[row_id])
    if active:
        set_active(connection, active.keys(), list(active.values()))


def _add_posts(connection: Connection, file: OldQueues) -> int:
    """Store posts that only the old queues still have; those without valid data are left out."""

    def unknown() -> Iterator[str]:
        for videos in streamed(file.videos(), _POSTS_AT_ONCE):
            valid = [video for video in videos if video and video == clean_text(video)]
            yield from unknown_posts(connection, valid)

    def posts(ids: Sequence[str]) -> Iterator[StoredPost]:
        for row in file.video_data(ids):
            post = stored_post(*row)
            if post is not None:
                yield post

    return sum(
        merge_new(connection, sora_posts, StoredPost._fields, posts(ids))
        for ids in streamed(unknown(), _POSTS_AT_ONCE)
    )

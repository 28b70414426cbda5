"""Comparing displays: the active playlist, the plan, the old system's real queue and real plays."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.legacy.queues import (
    OldPlay,
    OldPlaylist,
    OldWall,
    PlayReader,
    playlist_digest,
    read_wall,
)
from sorafeed_assets.domain.legacy.values import clean_text, id_of, whole
from sorafeed_assets.domain.playlists.playlist import Playlist
from sorafeed_assets.domain.shadow.audits import audit_old
from sorafeed_assets.domain.shadow.costs import Cost, page_seconds
from sorafeed_assets.domain.shadow.old_way import OldPick, Stage
from sorafeed_assets.domain.shadow.outcome import Finding, Outcome, conclude, not_compared
from sorafeed_assets.domain.shadow.walls import (
    PlaysScore,
    QueuedRow,
    activation_reason,
    plays_reasons,
    queue_reasons,
    score_queue,
)
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.timelines.views import timeline_views
from sorafeed_assets.storage.counts.totals import read_totals
from sorafeed_assets.storage.legacy.old_queues import OldQueues, old_queues
from sorafeed_assets.storage.legacy.queues import display_names, read_file
from sorafeed_assets.storage.playlists.rows import load_active_playlists
from sorafeed_assets.storage.shadow import comparisons as stored
from sorafeed_assets.storage.shadow import state
from sorafeed_assets.storage.shadow.comparisons import Compared

# An import is stored a little after the file was read.
_LATER: Final = timedelta(minutes=5)
_SCORED: Final = timedelta(days=1)
_HISTORY: Final = 30
_PLAYLISTS: Final = 50


@dataclass(frozen=True, slots=True)
class OldDisplays:
    """What the old file has of its displays.

    Attributes:
        wall: displays and playlists that can be imported.
        queues: display → the rows that wait.
        imported_to: plays before this were imported; None when all were.
        is_imported: whether the file was ever imported.
    """

    wall: OldWall
    queues: Mapping[str, Sequence[QueuedRow]]
    imported_to: datetime | None
    is_imported: bool
    _file: OldQueues
    _written: Mapping[str, Sequence[str]]

    def plays(self, display_id: str) -> list[OldPlay]:
        """The plays of a display; those of all together may be too many to hold."""
        rows = self._file.plays_of(self._written.get(display_id, ()))
        return list(PlayReader(self.wall.refused).read(rows))

    def active(self, display_id: str) -> OldPlaylist | None:
        """The active playlist of a display there."""
        chosen = self.wall.active().get(display_id)
        return self.wall.playlists[UUID(chosen)] if chosen else None


@contextmanager
def old_displays(engine: Engine, path: Path) -> Iterator[OldDisplays]:
    """Read the old file, of which a copy stays open for as long as the block lasts.

    Raises:
        SetupError: it cannot be read.
        UnavailableError: it stays locked.
    """
    with old_queues(path) as file:
        wall = read_wall(
            file.rows("displays"), file.rows("playlists"), file.rows("playlist_blocks")
        )
        written: dict[str, list[str]] = {}
        for display in file.playing():
            written.setdefault(clean_text(display).strip().upper(), []).append(display)
        with engine.connect() as connection:
            imported = read_file(connection, str(path.resolve()))
        is_current = imported is not None and imported.change_counter == file.change_counter
        until = None if imported is None or is_current else imported.imported_at - _LATER
        yield OldDisplays(wall, _queues(file), until, imported is not None, file, written)


def _queues(file: OldQueues) -> dict[str, list[QueuedRow]]:
    queues: dict[str, list[QueuedRow]] = {}
    for row in file.queue_rows():
        block = row.get("block_id")
        queues.setdefault(clean_text(row["display_id"]).strip().upper(), []).append(
            QueuedRow(
                whole(row["timeline_position"], 0),
                whole(row.get("loop_iteration"), 0),
                clean_text(row["video_id"]),
                None if block is None else id_of("block", block),
            )
        )
    return queues


def same_playlist(engine: Engine, there: OldDisplays, display_id: str) -> Playlist | Finding | None:
    """The playlist that a display plays on both sides, or why its plans are not compared.

    None when it has no playlist on either side.
    """
    with engine.connect() as connection:
        if display_id not in display_names(connection):
            return not_compared("the display is not imported")
        ours = load_active_playlists(connection, [display_id]).get(display_id)
    old = there.active(display_id)
    if ours is None and old is None:
        return None
    reason = activation_reason(
        None if old is None else str(old.id),
        None if ours is None else str(ours.id),
        changed=ours is not None and ours.id not in there.wall.playlists,
    )
    if reason is not None:
        if reason.rule is not None:
            return conclude([reason])
        return not_compared(f"{reason.text}; make both the same, in either system")
    if ours is None or old is None or _digest(ours) != old.digest:
        return not_compared("its playlist was changed on one side; make both the same")
    return ours


def _digest(playlist: Playlist) -> str:
    return playlist_digest(playlist.display_id, playlist.name, playlist.blocks)


def compare_queue(there: OldDisplays, display_id: str, plays: Sequence[OldPlay]) -> Compared:
    """Score the old system's real queue of a display; a whole loop of it is audited too."""
    old = there.active(display_id)
    belong = 0 if old is None else sum(each.block.video_count for each in old.blocks)
    score = score_queue(there.queues.get(display_id, ()), belong)
    figures = {
        "rows": score.rows,
        "belong": score.belong,
        "copies": score.copies,
        "repeats": score.repeats,
        "audit": None if old is None else _audit(there, old, belong, plays),
    }
    return Compared(stored.QUEUE, display_id, conclude(queue_reasons(score)), figures=figures)


def _audit(
    there: OldDisplays, playlist: OldPlaylist, belong: int, plays: Sequence[OldPlay]
) -> str | None:
    """The first rule that a queued loop breaks; None when it keeps all, or is not whole."""
    first: dict[int, OldPick] = {}
    for row in there.queues.get(playlist.display_id, ()):
        if row.block_id is not None:
            pick = OldPick(row.block_id, row.video_id, Stage.FIRST)
            first.setdefault(row.position, pick)
    if len(first) != belong:
        return None
    played = {play.video_id for play in plays}
    blocks = [each.block for each in playlist.blocks]
    return audit_old([first[position] for position in sorted(first)], blocks, {}, {}, played)


def compare_plays(
    engine: Engine, there: OldDisplays, display_id: str, plays: Sequence[OldPlay]
) -> Compared:
    """Compare the plays of a display, and score those of its last day."""
    if not there.is_imported:
        return Compared(stored.PLAYS, display_id, not_compared("the queues are not imported yet"))
    until = there.imported_to
    imported = [play.id for play in plays if until is None or play.played_at < until]
    with engine.connect() as connection:
        missing, gone = state.compare_plays(
            connection, display_id, imported, [play.id for play in plays]
        )
        matching = _matching(connection, there.active(display_id))
    last = max((play.played_at for play in plays), default=None)
    recent = [] if last is None else [p for p in plays if last - p.played_at < _SCORED]
    score = PlaysScore(len(recent), len({play.video_id for play in recent}), matching)
    figures = {
        "plays": len(plays),
        "scored": score.plays,
        "videos": score.videos,
        "repeats_per_hundred": round(score.repeats_per_hundred, 1),
        "matching": matching,
    }
    finding = conclude(plays_reasons(score, missing, gone))
    return Compared(stored.PLAYS, display_id, finding, figures=figures)


def _matching(connection: Connection, playlist: OldPlaylist | None) -> int | None:
    """How many posts match the largest search of a playlist; None if one is not counted."""
    if playlist is None:
        return None
    totals = read_totals(connection)
    found = [
        totals.get((each.block.query.term, each.block.format.value)) for each in playlist.blocks
    ]
    known = [total for total in found if total is not None]
    return max(known) if len(known) == len(found) and known else None


def compare_page(
    engine: Engine,
    display_id: str,
    playlist: Playlist,
    seconds: Mapping[tuple[str, str], float],
) -> Compared:
    """Compare how long the admin page of a display takes; ``seconds`` are of the old counts."""
    cost = _page_cost(engine, display_id)
    wanted = [(block.query.term, block.format.value) for block in playlist.blocks]
    missing = [key for key in wanted if key not in seconds]
    if missing:
        term, format_ = missing[0]
        finding = not_compared(f"the old count of {term} ({format_}) is not known")
        return Compared(stored.PAGE, display_id, finding, our_cost=cost)
    # Counts are cached in the old process by their query.
    different = list(dict.fromkeys(wanted))
    before = page_seconds([seconds[key] for key in different])
    return Compared(
        stored.PAGE,
        display_id,
        Finding(Outcome.SAME),
        old_cost=Cost(before, len(different)),
        our_cost=cost,
    )


def _page_cost(engine: Engine, display_id: str) -> Cost:
    """What reading everything of a display's admin page takes."""
    with state.metered(engine) as meter:
        queries = Queries(engine)
        queries.displays([display_id])
        timeline_views(engine, [display_id])
        playlists = queries.playlists_of([display_id], _PLAYLISTS)[display_id].rows
        active = [each.id for _, each in playlists if each.is_active]
        blocks = [block for found in queries.blocks(active).values() for block in found]
        queries.totals({block.term for block in blocks if block.term})
        queries.plays(display_id, _HISTORY, None)
    return meter.cost

"""SQL of advancing displays: their locks, one read, and one statement that moves all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.storage.flags.versions import FLAGS_VERSION
from sorafeed_assets.storage.lineage_records import NOTHING
from sorafeed_assets.storage.timelines.writes import QUEUE_ROWS, NewRow, to_records

# All that advancing needs, in one round trip: of the plan only the picks from the head on. The
# playlist is locked before its rows are touched, in the order in which a delete locks them.
# With SKIP LOCKED the blocks whose plays will be counted are locked too, so that no write waits.
_HEADS: Final = """
WITH locked AS MATERIALIZED (
    SELECT id, timeline_position, loop_iteration, active_build_id, playback_state,
        last_state_change
    FROM displays
    WHERE id = ANY(CAST(:display_ids AS text[]))
    ORDER BY id
    FOR NO KEY UPDATE {skip_locked}
), built AS MATERIALIZED (
    SELECT l.id AS display_id, b.playlist_id, b.plan, b.content_hash
    FROM locked AS l JOIN timeline_builds AS b ON b.id = l.active_build_id
), held AS MATERIALIZED (
    SELECT id FROM playlists
    WHERE id IN (SELECT playlist_id FROM built)
    ORDER BY id
    FOR KEY SHARE {skip_locked}
), blocks AS MATERIALIZED (
    {blocks}
)
SELECT d.id, d.timeline_position, d.loop_iteration, h.id AS playlist_id, ahead.picks,
    NOT EXISTS (
        SELECT FROM blocks WHERE blocks.display_id = d.id AND NOT blocks.is_free
    ) AS is_free,
    d.active_build_id AS build_id,
    (
        SELECT json_agg(
            json_build_array(t.id, t.block_id, t.video_id, t.loop_iteration, t.timeline_position,
                t.queue_slot, t.status,
                CASE WHEN t.id = ANY(CAST(:known AS uuid[])) THEN NULL ELSE t.video_data END)
            ORDER BY t.loop_iteration, t.timeline_position)
        FROM timeline_videos AS t
        WHERE t.display_id = d.id
    ) AS queue,
    {cached} AS cached,
    {flags_version} AS flags_version
FROM locked AS d
LEFT JOIN built AS b ON b.display_id = d.id
LEFT JOIN held AS h ON h.id = b.playlist_id
LEFT JOIN LATERAL (
    SELECT json_agg(
        json_build_array(a.loop, a.place, a.pick -> 'block_id', a.pick -> 'block_position',
            a.pick -> 'video_id')
        ORDER BY a.loop, a.place) AS picks
    FROM (
        SELECT l.loop, p.place, l.picks -> p.place AS pick
        FROM (
            SELECT CAST(e.loop ->> 'loop' AS integer) AS loop, e.loop -> 'picks' AS picks
            FROM jsonb_array_elements(b.plan -> 'loops') AS e (loop)
            OFFSET 0
        ) AS l
        CROSS JOIN LATERAL (
            SELECT CASE WHEN l.loop = d.loop_iteration THEN d.timeline_position ELSE 0 END
        ) AS f (first)
        CROSS JOIN LATERAL generate_series(
            f.first, least(f.first + :most, jsonb_array_length(l.picks)) - 1
        ) AS p (place)
        WHERE l.loop >= d.loop_iteration
        ORDER BY l.loop, p.place
        LIMIT :most
    ) AS a
) AS ahead ON true
"""

_FREE_BLOCKS: Final = """
    WITH counted AS MATERIALIZED (
        SELECT DISTINCT t.display_id, t.block_id
        FROM timeline_videos AS t JOIN locked AS l ON l.id = t.display_id
        WHERE t.id = ANY(CAST(:entries AS uuid[])) OR t.status = 'playing'
    ), free AS MATERIALIZED (
        SELECT id FROM playlist_blocks
        WHERE id IN (SELECT block_id FROM counted)
        ORDER BY id
        FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT c.display_id, b.id IN (SELECT id FROM free) AS is_free
    FROM counted AS c JOIN playlist_blocks AS b ON b.id = c.block_id
"""

# A `CachedState` of display ``d`` and its build ``b``.
CACHED_STATE: Final = """json_build_array(
        CASE WHEN d.last_state_change IS NULL THEN 'playing' ELSE d.playback_state END,
        b.playlist_id, coalesce(b.content_hash, :nothing),
        (SELECT l.data_version FROM lineage_records AS l
         WHERE l.asset = 'timeline_cache' AND l.partition = d.id
         ORDER BY l.id DESC LIMIT 1),
        CAST(CAST(pg_current_xact_id() AS text) AS bigint))"""

_LOAD: Final = text(
    _HEADS.format(
        skip_locked="",
        blocks="SELECT CAST(NULL AS text) AS display_id, true AS is_free",
        cached=CACHED_STATE,
        flags_version=FLAGS_VERSION,
    )
)
_LOAD_FREE: Final = text(
    _HEADS.format(
        skip_locked="SKIP LOCKED",
        blocks=_FREE_BLOCKS,
        cached=CACHED_STATE,
        flags_version=FLAGS_VERSION,
    )
)

_PLAYS: Final = text("""
SELECT h.timeline_video_id, h.display_id, h.video_id, h.played_at, h.was_skipped
FROM video_history AS h
JOIN unnest(CAST(:display_ids AS text[]), CAST(:entries AS uuid[])) AS a (display_id, entry)
    ON h.timeline_video_id = a.entry AND h.display_id = a.display_id
""")

# Plays of one display in one statement are a microsecond apart, so that their order is kept.
_ADVANCE: Final = text(f"""
WITH moves AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:moves AS jsonb)) AS m (display_id text,
        playlist_id uuid, loop_iteration integer, timeline_position integer, loops integer,
        head_id uuid, head_video_id text, head_block_id uuid)
), leaving AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:leaving AS jsonb)) AS r (id uuid, turn integer,
        is_shown boolean, was_skipped boolean, played_at timestamptz)
), gone AS (
    DELETE FROM timeline_videos AS t
    USING leaving AS r
    WHERE t.id = r.id
    RETURNING t.id, t.display_id, t.video_id, t.block_id, t.loop_iteration, r.is_shown,
        r.was_skipped,
        coalesce(r.played_at, statement_timestamp() + r.turn * interval '1 microsecond')
            AS played_at
), recorded AS (
    INSERT INTO video_history (display_id, video_id, block_id, loop_iteration, played_at,
        timeline_video_id, was_skipped)
    SELECT display_id, video_id, block_id, loop_iteration, played_at, id, was_skipped
    FROM gone
    WHERE is_shown
    ON CONFLICT (timeline_video_id) DO NOTHING
), counted AS (
    UPDATE playlist_blocks AS b
    SET times_played = b.times_played + s.times, last_played_at = s.played_at
    FROM (
        SELECT block_id, count(*) AS times, max(played_at) AS played_at
        FROM gone
        WHERE is_shown
        GROUP BY block_id
    ) AS s
    WHERE b.id = s.block_id
), looped AS (
    UPDATE playlists AS p SET loop_count = p.loop_count + m.loops
    FROM moves AS m
    WHERE p.id = m.playlist_id AND m.loops > 0
), begun AS (
    UPDATE timeline_videos AS t SET status = 'playing'
    FROM moves AS m
    WHERE t.id = m.head_id
), queued AS (
    {QUEUE_ROWS}
), moved AS (
    UPDATE displays AS d
    SET timeline_position = m.timeline_position, loop_iteration = m.loop_iteration,
        current_timeline_video_id = m.head_id, current_video_id = m.head_video_id,
        current_block_id = m.head_block_id,
        current_position = CASE WHEN m.head_id IS NULL THEN NULL ELSE m.timeline_position END,
        last_video_start_time = CASE WHEN m.head_id IS NULL
            THEN d.last_video_start_time ELSE statement_timestamp() END
    FROM moves AS m
    WHERE d.id = m.display_id
)
SELECT (SELECT array_agg(id ORDER BY id) FROM gone WHERE is_shown) AS played,
    (SELECT array_agg(played_at ORDER BY id) FROM gone WHERE is_shown) AS moments,
    (SELECT json_agg(
        json_build_array(display_id, id, block_id, video_id, loop_iteration, timeline_position,
            queue_slot, status, video_data)
        ORDER BY display_id, loop_iteration, timeline_position)
     FROM queued) AS queued
""")


class QueuedRow(NamedTuple):
    """A row of a queue; ``video`` is None where it is not read."""

    id: str
    block_id: str
    video_id: str
    loop_iteration: int
    timeline_position: int
    queue_slot: int
    status: str
    video: Any


class CachedState(NamedTuple):
    """What a display's snapshot has besides the queue and the position.

    ``version`` is that of its plan, ``recorded`` the one that lineage has of the snapshot, and
    ``written_by`` the transaction's id, which orders it among others.
    """

    state: str
    playlist_id: str | None
    version: str
    recorded: str | None
    written_by: int


class PlayedTimeline(NamedTuple):
    """A display's snapshot in parts."""

    display_id: str
    build: int | None
    loop: int
    position: int
    cached: CachedState
    videos: Sequence[QueuedRow]


class PlannedRow(NamedTuple):
    """A position of a plan."""

    loop_iteration: int
    timeline_position: int
    block_id: str
    block_position: int
    video_id: str


@dataclass(frozen=True, slots=True)
class Head:
    """A display's position, its queue, and the positions of its plan from the head on.

    ``playlist_id`` is None without a build, and when the playlist is being deleted. A display that
    is not ``is_free`` has a block that another transaction is changing. The flags of
    ``flags_version`` say which system drives it.
    """

    display_id: str
    timeline_position: int
    loop_iteration: int
    build_id: int | None
    playlist_id: UUID | None
    is_free: bool
    ahead: tuple[PlannedRow, ...]
    queue: tuple[QueuedRow, ...]
    cached: CachedState
    flags_version: int


@dataclass(frozen=True, slots=True)
class PlayRow:
    """A recorded play."""

    timeline_video_id: UUID
    display_id: str
    video_id: str
    played_at: datetime
    was_skipped: bool


@dataclass(frozen=True, slots=True)
class LeavingRow:
    """A queue row to delete; one that ``is_shown`` is recorded as a play, by default now."""

    id: str
    turn: int
    is_shown: bool
    was_skipped: bool
    played_at: datetime | None


@dataclass(frozen=True, slots=True)
class Move:
    """The move of a display: its new head and position, and how many loops it finished."""

    display_id: str
    playlist_id: UUID
    loop_iteration: int
    timeline_position: int
    loops: int
    head_id: str | None
    head_video_id: str | None
    head_block_id: str | None


def load_heads(
    connection: Connection, display_ids: Collection[str], most: int, known: Collection[str] = ()
) -> dict[str, Head]:
    """Displays with the next ``most`` picks of their plans, whose rows are locked for a change.

    Unknown displays are missing, and the videos of the queue rows ``known`` are not read.
    """
    return _heads(connection.execute(_LOAD, _values(display_ids, most, known)))


def load_free_heads(
    connection: Connection,
    display_ids: Collection[str],
    entries: Collection[UUID],
    most: int,
    known: Collection[str] = (),
) -> dict[str, Head]:
    """`load_heads` without ever waiting: displays that another transaction changes are missing."""
    values = {**_values(display_ids, most, known), "entries": list(entries)}
    heads = _heads(connection.execute(_LOAD_FREE, values))
    return {
        name: head
        for name, head in heads.items()
        if head.is_free and (head.playlist_id is not None or not head.queue)
    }


def _values(display_ids: Collection[str], most: int, known: Collection[str]) -> dict[str, object]:
    return {
        "display_ids": list(display_ids),
        "most": most,
        "known": f"{{{','.join(known)}}}",
        "nothing": NOTHING,
    }


def _heads(rows: Any) -> dict[str, Head]:
    return {
        row.id: Head(
            row.id,
            row.timeline_position,
            row.loop_iteration,
            row.build_id,
            row.playlist_id,
            row.is_free,
            tuple(PlannedRow(*line) for line in row.picks or ()),
            tuple(QueuedRow(*line) for line in row.queue or ()),
            CachedState(*row.cached),
            row.flags_version,
        )
        for row in rows.all()
    }


def load_plays(
    connection: Connection, entries: Sequence[tuple[str, UUID]]
) -> dict[tuple[str, UUID], PlayRow]:
    """The plays of these (display, queue row); those that were not played are missing."""
    if not entries:
        return {}
    display_ids, ids = zip(*entries, strict=True)
    rows = connection.execute(_PLAYS, {"display_ids": list(display_ids), "entries": list(ids)})
    return {(row.display_id, row.timeline_video_id): PlayRow(*row) for row in rows.all()}


def advance(
    connection: Connection,
    moves: Sequence[Move],
    leaving: Sequence[LeavingRow],
    new: Sequence[NewRow],
) -> tuple[dict[UUID, datetime], dict[str, list[QueuedRow]]]:
    """Record plays, top up the queues and move the displays, in one statement.

    Returns when each row was played, and the rows that were queued for each display, in order.
    """
    row = connection.execute(
        _ADVANCE,
        {
            "moves": to_records(moves),
            "leaving": to_records(leaving),
            "rows": to_records(new),
        },
    ).one()
    played = dict(zip(row.played or (), row.moments or (), strict=True))
    queued: dict[str, list[QueuedRow]] = {}
    for display_id, *line in row.queued or ():
        queued.setdefault(display_id, []).append(QueuedRow(*line))
    return played, queued

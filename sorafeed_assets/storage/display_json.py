"""SQL of displays as JSON text, in the shape that a client selects, in one statement.

Each expression gives the same JSON as the API's types give for the field. Not here: pages, cursors
(`storage.lists`), and the choice of queries that are answered so (`serving.graphql.listing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

TOTAL_MARK: Final = "\x01"
"""Encloses, in place of a total, ``[search, format, seen or null]``: see `display_json`."""


@dataclass(frozen=True, slots=True)
class Field:
    """A selected field: its key in the answer, its name, and what is selected of an object."""

    key: str
    name: str
    fields: tuple["Field", ...] = ()


def _text(column: str) -> str:
    return f"to_json({column})::text"


def _quoted(column: str) -> str:
    return f"""'"' || {column} || '"'"""


def _moment(column: str) -> str:
    # As `datetime.isoformat` writes it; sessions are in UTC.
    written = f"""to_char({column}, 'YYYY-MM-DD"T"HH24:MI:SS.US')"""
    return f"""'"' || replace({written}, '.000000', '') || '+00:00"'"""


def _flag(column: str) -> str:
    return f"CASE WHEN {column} THEN 'true' ELSE 'false' END"


def _number(column: str) -> str:
    return f"{column}::text"


def _or_null(expression: str) -> str:
    return f"coalesce({expression}, 'null')"


def _total(known: str, *, seen: str = "NULL::bigint") -> str:
    """A total; for a search that is not in normalized form, a mark that asks for the total."""
    asked = f"json_build_array(k.search_term, k.format, {seen})"
    return f"coalesce(({known})::text, chr(1) || {asked} || chr(1))"


_DISPLAY: Final[Mapping[str, str]] = {
    "__typename": """'"Display"'""",
    "id": _text("d.id"),
    "name": _text("d.name"),
    "created_at": _moment("d.created_at"),
    "is_online": _flag("d.status = 'online'"),
    "last_seen": _or_null(_moment("d.last_ping")),
    "playback_state": """CASE WHEN d.last_state_change IS NULL THEN '"PLAYING"'
        WHEN d.playback_state = 'paused' THEN '"PAUSED"'
        WHEN d.playback_state = 'idle' THEN '"IDLE"' ELSE '"PLAYING"' END""",
    "queued": "(SELECT count(*)::text FROM timeline_videos v WHERE v.display_id = d.id)",
    "loop": _number("d.loop_iteration"),
    "position": _number("d.timeline_position"),
    "build_id": _or_null(_quoted("d.active_build_id")),
    "built_at": _or_null(
        f"(SELECT {_moment('b.created_at')} FROM timeline_builds b WHERE b.id = d.active_build_id)"
    ),
}

_PLAYLIST: Final[Mapping[str, str]] = {
    "__typename": """'"Playlist"'""",
    "id": _quoted("p.id"),
    "display_id": _text("p.display_id"),
    "name": _text("p.name"),
    "is_active": _flag("p.is_active"),
    "created_at": _moment("p.created_at"),
    "updated_at": _moment("p.updated_at"),
    "loop_count": _number("p.loop_count"),
    "total_videos": _number("p.total_videos"),
}

_BLOCK: Final[Mapping[str, str]] = {
    "__typename": """'"Block"'""",
    "id": _quoted("k.id"),
    "search": _text("k.search_term"),
    "video_count": _number("k.video_count"),
    "fetch_mode": _quoted("upper(k.fetch_mode)"),
    "format": _quoted("upper(k.format)"),
    "order": _number("k.block_order"),
    "times_played": _number("k.times_played"),
    "last_played_at": _or_null(_moment("k.last_played_at")),
    "total": _total("c.total_count"),
    "seen": _number("s.seen"),
    "available": _total(
        "CASE WHEN c.search_term IS NOT NULL THEN greatest(0, c.total_count - s.seen) END",
        seen="s.seen",
    ),
}

_ACTIVE_PLAYLIST: Final = """
coalesce((SELECT {object} FROM playlists p WHERE p.display_id = d.id AND p.is_active), 'null')
"""

_BLOCKS: Final = """
(SELECT '[' || coalesce(string_agg({object}, ',' ORDER BY k.block_order), '') || ']'
 FROM playlist_blocks k {joins} WHERE k.playlist_id = p.id)
"""

# A search that equals a term is normalized already.
_TOTALS: Final = """
LEFT JOIN video_counts_by_search c ON c.search_term = k.search_term AND c.format = k.format
"""

_SEEN: Final = """
CROSS JOIN LATERAL (
    SELECT count(DISTINCT h.video_id) AS seen FROM video_history h
    WHERE h.block_id = k.id AND h.display_id = d.id AND h.played_at >= d.dedup_since
) AS s
"""


def has_field(path: Sequence[str], name: str) -> bool:
    """Whether a field of the object at ``path`` (``active_playlist``, ``blocks``) is known here."""
    known, nested = {
        (): (_DISPLAY, "active_playlist"),
        ("active_playlist",): (_PLAYLIST, "blocks"),
        ("active_playlist", "blocks"): (_BLOCK, ""),
    }[tuple(path)]
    return name in known or name == nested


@lru_cache(maxsize=500)
def display_json(fields: tuple[Field, ...]) -> str:
    """The expression that gives the JSON of a row ``d`` of `displays`; null fields are written.

    For a search that equals no term it has, in place of the total, the data that a caller needs to
    find it, enclosed in `TOTAL_MARK`, a character that JSON never contains.
    """
    return _object(fields, _DISPLAY)


def _object(fields: Sequence[Field], known: Mapping[str, str]) -> str:
    # Names in GraphQL need no escapes, in JSON or in SQL.
    parts = [f"""'"{field.key}":' || {_value(field, known)}""" for field in fields]
    inner = " || ',' || ".join(parts)
    return f"'{{' || {inner} || '}}'"


def _value(field: Field, known: Mapping[str, str]) -> str:
    if not field.fields:
        return known[field.name]
    if field.name == "active_playlist":
        return _ACTIVE_PLAYLIST.format(object=_object(field.fields, _PLAYLIST))
    names = {each.name for each in field.fields}
    joins = (_TOTALS if names & {"total", "available"} else "") + (
        _SEEN if names & {"seen", "available"} else ""
    )
    return _BLOCKS.format(object=_object(field.fields, _BLOCK), joins=joins)

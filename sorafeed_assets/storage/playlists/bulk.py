"""Storing many displays and playlists at once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.storage.postgres.copy import copy_rows

_INSERT_DISPLAYS: Final = text("""
INSERT INTO displays (id, name)
SELECT * FROM unnest(CAST(:codes AS text[]), CAST(:names AS text[]))
ON CONFLICT (id) DO NOTHING RETURNING id
""")

_INSERT_PLAYLISTS: Final = text("""
INSERT INTO playlists (display_id, name, total_blocks, total_videos)
SELECT * FROM unnest(CAST(:display_ids AS text[]), CAST(:names AS text[]),
    CAST(:blocks AS integer[]), CAST(:videos AS integer[]))
RETURNING display_id, id
""")

_BLOCK_COLUMNS: Final = (
    *("playlist_id", "search_term", "video_count", "fetch_mode", "format", "block_order"),
)


def insert_displays(
    connection: Connection, codes: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Add the displays that do not exist; returns their codes, sorted."""
    values = {"codes": list(codes), "names": list(names)}
    return sorted(connection.scalars(_INSERT_DISPLAYS, values))


def insert_playlists(
    connection: Connection,
    playlists: Sequence[tuple[str, str, int, int]],
    blocks: Sequence[Sequence[tuple[str, int, str, str, int]]],
) -> None:
    """Add one playlist for each display: (display, name, total blocks, total videos).

    ``blocks`` has the blocks of each: (search term, video count, fetch mode, format, order).
    """
    display_ids, names, totals, videos = (list(column) for column in zip(*playlists, strict=True))
    rows = connection.execute(
        _INSERT_PLAYLISTS,
        {"display_ids": display_ids, "names": names, "blocks": totals, "videos": videos},
    )
    added: dict[str, UUID] = {row.display_id: row.id for row in rows}
    copy_rows(
        connection,
        "playlist_blocks",
        _BLOCK_COLUMNS,
        (
            (added[display_id], *block)
            for (display_id, *_), its_blocks in zip(playlists, blocks, strict=True)
            for block in its_blocks
        ),
    )

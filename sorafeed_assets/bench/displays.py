"""Displays with playlists of 12 blocks and 52 videos, made set-wise."""

import random
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from sorafeed_assets.demo.playlists import REAL_PLAYLIST, display_code
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.storage.benchmarks import displays
from sorafeed_assets.storage.playlists.bulk import insert_displays, insert_playlists


def clear_displays(engine: Engine) -> None:
    """Delete every display, with its plays."""
    with engine.begin() as connection:
        displays.clear_displays(connection)


def make_displays(engine: Engine, count: int) -> list[str]:
    """Create exactly ``count`` displays that have played nothing; returns their codes."""
    clear_displays(engine)
    codes = [display_code(number) for number in range(1, count + 1)]
    with engine.begin() as connection:
        insert_displays(connection, codes, codes)
    return codes


def playlist_of(terms: Sequence[str], rng: random.Random) -> tuple[BlockDraft, ...]:
    """The real playlist with searches out of ``terms``; three in ten are newest.

    A search that several blocks of the real playlist share is shared here too.
    """
    others = {
        search: (
            rng.choice(terms),
            FetchMode.NEWEST if rng.random() < 0.3 else FetchMode.RANDOM,
            rng.choice(list(Format)),
        )
        for search in dict.fromkeys(block.search_term for block in REAL_PLAYLIST)
    }
    return tuple(
        BlockDraft(term, block.video_count, mode, format_)
        for block in REAL_PLAYLIST
        for term, mode, format_ in (others[block.search_term],)
    )


def new_playlists(engine: Engine, playlists: Mapping[str, Sequence[BlockDraft]]) -> None:
    """Give displays a new playlist each, to be activated."""
    with engine.begin() as connection:
        insert_playlists(
            connection,
            [
                (code, "Bench", len(blocks), sum(block.video_count for block in blocks))
                for code, blocks in playlists.items()
            ],
            [
                [
                    (b.search_term, b.video_count, b.fetch_mode.value, b.format.value, order)
                    for order, b in enumerate(blocks)
                ]
                for blocks in playlists.values()
            ],
        )

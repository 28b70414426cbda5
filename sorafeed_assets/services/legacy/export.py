"""Exporting plays of this system in the old one's shape: the way back of a switch."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.storage.legacy.old_queues import display_codes
from sorafeed_assets.storage.legacy.our_plays import our_plays, write_old_plays


def export_plays(
    engine: Engine,
    target: Path,
    *,
    since: datetime | None = None,
    display_ids: Sequence[str] = (),
    old: Path | None = None,
) -> int:
    """Write the plays that this system showed to a new SQLite file; returns how many.

    Their ids are kept, so that importing them again writes nothing.

    Args:
        engine: the database.
        target: the new file.
        since: only plays since then, with its time zone; by default all.
        display_ids: only plays of these displays; by default of all.
        old: the old system's file, for how it spells the codes of displays; it is only read.

    Raises:
        InvalidInputError: ``since`` has no time zone, or a code is invalid.
        SetupError: the file exists or cannot be written, or the old one cannot be read.
    """
    if since is not None and since.tzinfo is None:
        raise InvalidInputError("since", f"is {since.isoformat()}; add its time zone")
    codes = [check_display_code(code, "display") for code in display_ids]
    spelled = {} if old is None else _spelled(old)
    with engine.connect() as connection:
        return write_old_plays(target, our_plays(connection, since, codes or None), spelled)


def _spelled(old: Path) -> Mapping[str, str]:
    """The display's code → as the old file writes it."""
    return {code.strip().upper(): code for code in display_codes(old)}

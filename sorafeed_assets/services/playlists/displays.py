"""Displays: adding, renaming and listing them."""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError, InvalidInputError
from sorafeed_assets.domain.playlists.playlist import check_display_code, check_name
from sorafeed_assets.storage.playlists import rows as sql
from sorafeed_assets.storage.postgres.retry import retried

_CODE_LETTERS: Final = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class DisplaySummary:
    """A display as lists show it."""

    id: str
    name: str
    status: str
    active_playlist: str | None
    playlists: int
    created_at: datetime


@retried
def create_display(engine: Engine, display_id: str | None, name: str) -> str:
    """Add a display; returns its code, which is random when none is given.

    Raises:
        InvalidInputError: an invalid or taken code, or a blank name.
    """
    with engine.begin() as connection:
        return add_display(connection, display_id, name)


def add_display(connection: Connection, display_id: str | None, name: str) -> str:
    """Add a display as `create_display` does, in the caller's transaction."""
    name = check_name(name)
    if display_id is not None:
        check_display_code(display_id)
    while True:
        code = display_id or "".join(secrets.choice(_CODE_LETTERS) for _ in range(6))
        if sql.insert_display(connection, code, name):
            return code
        if display_id is not None:
            raise InvalidInputError("display_id", f"{code} is taken; choose another code")


@retried
def rename_display(engine: Engine, display_id: str, name: str) -> None:
    """Rename a display.

    Raises:
        InvalidInputError: a blank name.
        NotFoundError: there is no such display.
    """
    name = check_name(name)
    with engine.begin() as connection:
        if not sql.rename_display(connection, display_id, name):
            raise DisplayNotFoundError(display_id)


def list_displays(engine: Engine) -> list[DisplaySummary]:
    """All displays, by code."""
    with engine.connect() as connection:
        return [DisplaySummary(**row) for row in sql.list_displays(connection)]

"""Which system drives a display: the flag `driver`, asked where queues are written and read.

`old`: nothing here writes the display's queue, and its plays are refused. `shadow`: it is planned
and queued here too, but the old system drives the screen, so its plays are refused as well. `new`:
this system drives it.
"""

from collections.abc import Collection
from enum import StrEnum

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import NotDrivenError, SorafeedError
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.services.flags import FlagValues
from sorafeed_assets.services.flags.changes import load_values
from sorafeed_assets.services.playlists.timetables import Left


class Driver(StrEnum):
    """The system that drives a display."""

    OLD = "old"
    SHADOW = "shadow"
    NEW = "new"


def driver_of(values: FlagValues, display_id: str) -> Driver:
    """The system that drives a display.

    Raises:
        SorafeedError: the flag has a value that this version does not know.
    """
    value = values.value(DRIVER, display_id)
    try:
        return Driver(value)
    except ValueError:
        raise SorafeedError(
            f"the flag {DRIVER} of display {display_id} is {value!r}, which this version does not"
            f" know; it knows {', '.join(Driver)}"
        ) from None


def driven_by(
    values: FlagValues, drivers: Collection[Driver], display_ids: Collection[str]
) -> set[str]:
    """Those of the displays that one of these systems drives."""
    return {name for name in display_ids if driver_of(values, name) in drivers}


def must_drive(values: FlagValues, display_id: str) -> None:
    """Check that this system drives a display.

    Raises:
        NotDrivenError: the old one does.
    """
    if driver_of(values, display_id) is not Driver.NEW:
        raise NotDrivenError(display_id)


def left_to_old(connection: Connection) -> Left:
    """Which displays are not switched by the clock here: those that the old system drives."""
    return lambda display_ids: driven_by(load_values(connection), [Driver.OLD], display_ids)

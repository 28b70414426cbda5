"""A display's plan as a pandas DataFrame, with the reason of each pick."""

from collections.abc import Sequence
from typing import Final

import pandas as pd
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError
from sorafeed_assets.services.playlists.displays import list_displays
from sorafeed_assets.services.timelines.views import ViewedPick, timeline_views
from sorafeed_assets.storage.catalog.texts import texts_of

_COLUMNS: Final = (
    "display_id",
    "build",
    "loop",
    "position",
    "status",
    "search_term",
    "block_id",
    "video_id",
    "reason",
    "text",
)


class Plan(pd.DataFrame):
    """The plan of displays, with the reason of each pick: a type to load `display_timelines` as.

    ``defs.load_asset_value("display_timelines", partition_key="DEMO01", python_type=Plan)``
    """


def plan_frame(engine: Engine, displays: Sequence[str] | None = None) -> Plan:
    """A row for each position of the plans of displays, or of all, from what plays now on.

    ``loop`` and ``position`` are numbered from 0, as they are stored. ``status`` is playing, queued
    or planned; ``reason`` is new, replay, repeat or kept. ``text`` is missing where the post was
    deleted.

    Raises:
        DisplayNotFoundError: one of the displays does not exist.
    """
    wanted = [row.id for row in list_displays(engine)] if displays is None else list(displays)
    views = timeline_views(engine, wanted)
    rows: list[tuple[object, ...]] = []
    for display in wanted:
        view = views.get(display)
        if view is None:
            raise DisplayNotFoundError(display)
        rows += [_row(display, view.build_id, pick) for pick in view.ahead]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS[:-1]))
    with engine.connect() as connection:
        texts = texts_of(connection, sorted(set(frame["video_id"])))
    return Plan(frame.assign(text=frame["video_id"].map(texts)))


def _row(display: str, build: int | None, pick: ViewedPick) -> tuple[object, ...]:
    return (
        display,
        build,
        pick.loop,
        pick.position,
        pick.status,
        pick.search_term,
        str(pick.block_id),
        pick.video_id,
        pick.tier,
    )

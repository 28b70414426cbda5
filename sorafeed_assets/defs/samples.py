"""What assets hold, for their events: a few rows as a Markdown table, and plots."""

import base64
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
from sqlalchemy import Engine

from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.plotting import Plot, as_svg
from sorafeed_assets.services.cache.write import read_admin_snapshot
from sorafeed_assets.services.plots import (
    DAYS,
    MINUTES,
    counts_plot,
    latency_plot,
    plays_plots,
)
from sorafeed_assets.storage.figures import read_minutes
from sorafeed_assets.storage.samples import (
    Preview,
    largest_totals,
    preview_days,
    preview_displays,
    preview_rollouts,
    preview_table,
)
from sorafeed_assets.storage.timelines.play_hours import read_days

_ROWS: Final = 10
# Samples of many days would cost more than they are worth.
_MOST_DAYS: Final = 60
_NOTHING: Final = Preview((), ())
_OF_DISPLAYS: Final = {
    "playlists": "active_playlists",
    "active_playlists": "active_playlists",
    "display_timelines": "display_timelines",
    "timeline_cache": "display_timelines",
}

Metadata = Mapping[str, Any]


def samples_of(
    connections: Connections, asset: str, partitions: Collection[str]
) -> dict[str, Metadata]:
    """Partition → a preview of what it holds now; '' for an asset without partitions."""
    engine = connections.engine
    if asset in _OF_DISPLAYS:
        rows = preview_displays(engine, _OF_DISPLAYS[asset], partitions)
        return {name: _preview(rows.get(name, _NOTHING)) for name in partitions}
    if asset == "video_counts_daily":
        days = preview_days(engine, sorted(partitions)[-_MOST_DAYS:], _ROWS)
        return {name: _preview(days.get(name, _NOTHING)) for name in partitions}
    if asset == "count_cache":
        return {"": _preview(largest_totals(engine, _ROWS))}
    if asset == "video_counts_by_search":
        return {"": {**_preview(largest_totals(engine, _ROWS)), **_plots_of_counts(engine)}}
    if asset == "admin_snapshot":
        shown = read_admin_snapshot(engine)["displays"][:5]
        return {"": {"preview": dg.MetadataValue.json(shown), **_plots_of_plays(engine)}}
    if asset == "rollouts":
        compared = preview_rollouts(engine, partitions)
        return {name: _preview(compared.get(name, _NOTHING)) for name in partitions}
    if asset in {"search_terms", "video_candidates"}:
        return {"": _preview(preview_table(engine, asset, _ROWS))}
    return {}


def _preview(rows: Preview) -> Metadata:
    return {"preview": as_markdown(rows)}


def _plots_of_counts(engine: Engine) -> Metadata:
    with engine.connect() as connection:
        return as_images([counts_plot(connection, datetime.now(UTC).date())])


def _plots_of_plays(engine: Engine) -> Metadata:
    with engine.connect() as connection:
        minutes = read_minutes(connection, MINUTES)
        days = read_days(connection, datetime.now(UTC).date(), DAYS)
    return as_images([latency_plot(minutes), *plays_plots(days)])


def as_images(plots: Sequence[Plot]) -> Metadata:
    """Plots as images within Markdown, which the UI shows; a few kilobytes each."""
    images = [
        f"![{each.title}](data:image/svg+xml;base64,"
        f"{base64.b64encode(as_svg(each).encode()).decode()})"
        for each in plots
    ]
    return {"plots": dg.MetadataValue.md("\n\n".join(images))}


def as_markdown(rows: Preview) -> dg.MarkdownMetadataValue:
    """Rows of text as a Markdown table; characters that end a cell are escaped."""
    if not rows.rows:
        return dg.MetadataValue.md("nothing")
    lines = [rows.columns, ["---"] * len(rows.columns), *([_cell(v) for v in r] for r in rows.rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _cell(value: str) -> str:
    short = value if len(value) <= 80 else f"{value[:79]}…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

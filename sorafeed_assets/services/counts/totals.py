"""The totals per search and format: a materialized view, refreshed without blocking readers."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, text

from sorafeed_assets.storage.counts.daily import totals_differ, totals_version

_REFRESH: Final = "REFRESH MATERIALIZED VIEW CONCURRENTLY video_counts_by_search"


@dataclass(frozen=True, slots=True)
class TotalsRefresh:
    """Whether the view had to be refreshed, its rows, and a digest of what it holds."""

    changed: bool
    rows: int
    data_version: str


def refresh_totals(engine: Engine) -> TotalsRefresh:
    """Bring the view up to date; one that is so already is not written."""
    with engine.connect() as connection:
        changed = totals_differ(connection)
        connection.commit()
        if changed:
            connection.execute(text(_REFRESH))
            connection.commit()
        rows, version = totals_version(connection)
    return TotalsRefresh(changed, rows, version)


def totals_are_behind(engine: Engine) -> bool:
    """Whether the view does not hold what the daily counts add up to."""
    with engine.connect() as connection:
        return totals_differ(connection)

"""The totals per search and format: a materialized view, refreshed without blocking readers."""

from dataclasses import dataclass

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import CountsAuditError
from sorafeed_assets.services.counts.lineage import TOTALS, totals_change
from sorafeed_assets.storage.counts.totals import read_totals, refresh_view, totals_differ
from sorafeed_assets.storage.lineage_records import hold_asset, write_changes


@dataclass(frozen=True, slots=True)
class TotalsRefresh:
    """Whether the view had to be refreshed, its number of rows, and a digest of them."""

    changed: bool
    rows: int
    data_version: str


def refresh_totals(engine: Engine) -> TotalsRefresh:
    """Refresh the view and record it; a view that is up to date is not written."""
    with engine.begin() as connection:
        hold_asset(connection, TOTALS)
        changed = totals_differ(connection)
        if changed:
            refresh_view(connection)
        change = totals_change(connection)
        write_changes(connection, [change])
    return TotalsRefresh(changed, int(change.metadata["dagster/row_count"]), change.data_version)


def totals_are_behind(engine: Engine) -> bool:
    """Whether the view differs from the sums of the daily counts."""
    with engine.connect() as connection:
        return totals_differ(connection)


def audit_totals(engine: Engine) -> None:
    """Refuse totals that contradict each other or the daily counts.

    Raises:
        CountsAuditError: a term's wide and tall posts exceed all its posts, or the view differs
            from the sums of the daily counts.
    """
    is_wrong = False
    if totals_are_behind(engine):
        refresh_totals(engine)  # another process may be between its counts and their totals
        is_wrong = totals_are_behind(engine)
    problems = contradicting_totals(engine)
    if is_wrong:
        problems.append("the view does not equal the sums of the daily counts")
    if problems:
        raise CountsAuditError(
            f"totals are wrong ({'; '.join(problems[:5])}); recount the days with"
            " `recount: true` on video_counts_daily"
        )


def contradicting_totals(engine: Engine) -> list[str]:
    """The terms whose wide and tall posts exceed all their posts, in words."""
    with engine.connect() as connection:
        totals = read_totals(connection)
    return [
        f"{term}: wide and tall posts exceed all posts"
        for term in sorted({term for term, _ in totals})
        if totals[term, "wide"] + totals[term, "tall"] > totals[term, "mixed"]
    ]

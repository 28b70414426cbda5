"""Recording the counting assets where a change left no record."""

from sqlalchemy import Engine

from sorafeed_assets.services.counts.lineage import (
    TERMS,
    TOTALS,
    counts_changes,
    pools_change,
    posts_changes,
    totals_change,
)
from sorafeed_assets.services.counts.terms import terms_change
from sorafeed_assets.storage.counts.terms import keep_counting_away
from sorafeed_assets.storage.lineage_records import hold_asset, write_changes


def record_counts(engine: Engine) -> bool:
    """Record the current terms, posts, counts, totals and pools; False while a count runs."""
    with engine.begin() as connection:
        hold_asset(connection, TERMS)
        hold_asset(connection, TOTALS)
        if not keep_counting_away(connection):
            return False
        write_changes(
            connection,
            [
                terms_change(connection),
                *posts_changes(connection, None),
                *counts_changes(connection, None),
                totals_change(connection),
                pools_change(connection),
            ],
        )
    return True

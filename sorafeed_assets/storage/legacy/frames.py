"""Posts of the old catalogue as a pandas DataFrame, for ``load_asset_value`` in a notebook."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from sorafeed_assets.storage.legacy.columns import POSTS
from sorafeed_assets.storage.legacy.old_catalog import Part, old_catalog


def old_posts_frame(url: str, days: Sequence[str]) -> pd.DataFrame:
    """The posts that the old catalogue at ``url`` has of some catalog days, such as 2026-11-24.

    Raises:
        UnavailableError: it cannot be reached.
    """
    later = datetime.now(UTC) + timedelta(days=1)
    with old_catalog(url) as old:
        rows = [
            row for day in days for row in old.posts_of(Part.of_day(date.fromisoformat(day), later))
        ]
    return pd.DataFrame(rows, columns=list(POSTS))

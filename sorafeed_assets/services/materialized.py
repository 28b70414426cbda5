"""Whether everything was materialized before: `sorafeed up` need not wait for it then."""

from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.storage.counts.status import count_posts
from sorafeed_assets.storage.lineage_records import was_recorded
from sorafeed_assets.storage.lists import count_displays

# The last of the graph: it is recorded after all others.
_LAST: Final = "admin_snapshot"


def was_materialized(engine: Engine) -> bool:
    """Whether there are posts and displays, and the whole graph was recorded at least once."""
    with engine.connect() as connection:
        is_filled = count_posts(connection) > 0 and count_displays(connection) > 0
        return is_filled and was_recorded(connection, _LAST)

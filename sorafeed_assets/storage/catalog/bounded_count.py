"""Counting matches up to a limit, with a time-out."""

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters
from sorafeed_assets.storage.postgres.retry import is_timeout

_COUNT: Final = text(f"""
SELECT count(*) FROM (
    SELECT FROM sora_posts
    WHERE {MATCHES} AND (:format = 'mixed' OR size_class = :format)
    LIMIT :most + 1
) AS first
""")
_LIMIT_TIME: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")


def count_up_to(
    connection: Connection, query: SearchQuery, format_: Format, most: int, milliseconds: int
) -> int | None:
    """How many posts match, ``most`` + 1 when there are more; None when it takes too long."""
    values = {**match_parameters(query), "format": format_.value, "most": most}
    try:
        with connection.begin_nested():
            connection.execute(_LIMIT_TIME, {"milliseconds": str(milliseconds)})
            return int(connection.scalar(_COUNT, values) or 0)
    except OperationalError as error:
        if is_timeout(error):
            return None
        raise

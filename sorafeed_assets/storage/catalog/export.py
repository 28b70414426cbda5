"""All posts of a search, read in parts."""

from collections.abc import Generator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters

_POSTS: Final = text(f"""
SELECT id, text, posted_at, permalink, video_url, width, height
FROM sora_posts
WHERE {MATCHES} AND (:format = 'mixed' OR size_class = :format)
""")
_LIMIT_TIME: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")


def stream_posts(
    connection: Connection, query: SearchQuery, format_: Format, *, part: int, seconds: int
) -> Generator[Sequence[Row[Any]], None, None]:
    """The posts that match, in no order, up to ``part`` at a time, for ``seconds`` at most."""
    connection.execute(_LIMIT_TIME, {"milliseconds": str(seconds * 1000)})
    options = {"stream_results": True, "max_row_buffer": part}
    values = {**match_parameters(query), "format": format_.value}
    with connection.execute(_POSTS, values, execution_options=options) as result:
        yield from result.partitions(part)

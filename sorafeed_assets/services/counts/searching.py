"""Pages of several searches: two at a time, if a connection is free."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection
from sqlalchemy.pool import QueuePool

from sorafeed_assets.storage.catalog.matches import Match, MatchQuery
from sorafeed_assets.storage.catalog.pages import read_page

Wanted = tuple[MatchQuery, int, Match | None]
"""A search, how many matches to read, and the match to continue after."""


def read_pages(connection: Connection, wanted: Sequence[Wanted]) -> list[list[Match]]:
    """Read the page of each search with `read_page`.

    Each statement of a READ COMMITTED transaction has its own snapshot, so it
    makes no difference that some use another connection.
    """
    pages: dict[int, list[Match]] = {}
    # Short phrases first: their trigrams match most posts, and a long search must not begin last.
    waiting = deque(sorted(enumerate(wanted), key=lambda one: len(one[1][0].query.phrase)))

    def read(through: Connection) -> None:
        while waiting:
            try:
                number, page = waiting.popleft()
            except IndexError:  # the other connection took the last search
                return
            pages[number] = read_page(through, *page)

    def help_out() -> None:
        with connection.engine.connect() as other:
            read(other)

    if len(wanted) > 1 and _can_share(connection):
        with ThreadPoolExecutor(1, "search") as helper:
            helped = helper.submit(help_out)
            read(connection)
            helped.result()
    read(connection)
    return [pages[number] for number in range(len(wanted))]


def _can_share(connection: Connection) -> bool:
    """Whether a second connection may read: a snapshot is not shared, nor the last one taken."""
    pool = connection.engine.pool
    has_snapshot = "isolation_level" in connection.get_execution_options()
    return not has_snapshot and isinstance(pool, QueuePool) and pool.checkedout() < pool.size()

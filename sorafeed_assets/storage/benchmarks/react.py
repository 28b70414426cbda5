"""State that the benchmark of reactions polls: the leader, queues, pools, and waiting changes."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.storage.catalog.blocklist import IS_WAITING

_LEADER: Final = text("""
-- A holder is host:process:start, and a host may be an address with colons.
SELECT CAST(split_part(holder, ':', -2) AS int) FROM leases
WHERE name = 'react' AND expires_at > clock_timestamp()
""")
_QUEUED_PLAYLIST: Final = text("""
SELECT playlist_id FROM timeline_videos WHERE display_id = :display LIMIT 1
""")
_QUEUED: Final = text("SELECT video_id FROM timeline_videos WHERE display_id = :display")
_POOLED: Final = text("""
SELECT DISTINCT post_id FROM video_candidates
WHERE term = :term AND post_id = ANY(CAST(:posts AS text[]))
""")
_DELETE: Final = text("DELETE FROM sora_posts WHERE id = :post")
_WAITING: Final = text(f"""
SELECT (SELECT count(*) FROM catalog_changes) + (SELECT count(*) FROM display_changes)
    + (SELECT count(*) FROM count_jobs) + CAST({IS_WAITING} AS integer)
    + (SELECT count(*) FROM lineage_records WHERE recorded_at IS NULL)
""")


def leader(connection: Connection) -> int | None:
    """The process id of the `react` that leads."""
    found: int | None = connection.scalar(_LEADER)
    return found


def queued_playlist(connection: Connection, display: str) -> UUID | None:
    """The playlist that a display's queue plays."""
    found: UUID | None = connection.scalar(_QUEUED_PLAYLIST, {"display": display})
    return found


def queued_videos(connection: Connection, display: str) -> set[str]:
    """The posts in a display's queue."""
    return set(connection.scalars(_QUEUED, {"display": display}))


def pooled(connection: Connection, term: str, posts: Collection[str]) -> set[str]:
    """Those of the posts that are in a pool of the term."""
    return set(connection.scalars(_POOLED, {"term": term, "posts": list(posts)}))


def delete_post(connection: Connection, post: str) -> None:
    """Delete a post."""
    connection.execute(_DELETE, {"post": post})


def waiting(connection: Connection) -> int:
    """How many changes of posts, changes of displays, count jobs and records wait."""
    return int(connection.scalar(_WAITING) or 0)

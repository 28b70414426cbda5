"""Snapshots of displays that were played: read before the commit, written after it.

They hold no lock while Redis answers. A version keeps an older one from covering a newer one; what
was newer already is for `services.cache.write`, which has the locks.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from cachetools import LRUCache
from redis import Redis
from sqlalchemy import Connection

from sorafeed_assets.domain.digest import canonical_json
from sorafeed_assets.storage.cache.redis import DisplaySnapshot, redis_errors, write_newer
from sorafeed_assets.storage.cache.snapshots import PlayedTimeline, read_played

# Some 5 kB for each.
_MOST_DISPLAYS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Snapshots of what a transaction stores.

    ``unrecorded`` are further displays: their lineage has to be recorded with the snapshot.
    """

    snapshots: Sequence[DisplaySnapshot] = ()
    unrecorded: Collection[str] = ()


class PlayedSnapshots:
    """Makes the snapshots; safe to share between threads.

    The video of a queue row never changes, so that it is read and encoded once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._videos: LRUCache[str, Mapping[str, str]] = LRUCache(_MOST_DISPLAYS)

    def prepare(self, connection: Connection, display_ids: Collection[str]) -> Prepared:
        """Read the snapshots of displays, whose snapshots' locks the caller holds."""
        if not display_ids:
            return Prepared()
        with self._lock:
            known = {name: self._videos.get(name, {}) for name in display_ids}
        found = read_played(connection, display_ids, [e for each in known.values() for e in each])
        snapshots: list[DisplaySnapshot] = []
        unrecorded = [each.display_id for each in found if each.recorded != each.version]
        for each in found:
            if each.display_id in unrecorded:
                continue
            videos = {
                row[0]: known[each.display_id].get(row[0]) or canonical_json(row[-1])
                for row in each.videos
            }
            with self._lock:
                self._videos[each.display_id] = videos
            text = timeline_text(each, videos)
            snapshots.append(DisplaySnapshot(each.display_id, text, each.state, each.written_by))
        return Prepared(snapshots, unrecorded)


def timeline_text(found: PlayedTimeline, videos: Mapping[str, str]) -> str:
    """The snapshot of a display as canonical JSON; ``videos`` are its parts by queue row."""
    playlist = "null" if found.playlist_id is None else f'"{found.playlist_id}"'
    rows = ",".join(
        f'{{"block_id":"{block}","id":"{entry}","loop_iteration":{loop},"status":"{status}",'
        f'"timeline_position":{position},"video":{videos[entry]},"video_id":{canonical_json(post)}}}'
        for entry, post, block, loop, position, status, _ in found.videos
    )
    build = "null" if found.build is None else found.build
    return (
        f'{{"build":{build},"loop":{found.loop},"playlist_id":{playlist},'
        f'"position":{found.position},"version":"{found.version}","videos":[{rows}]}}'
    )


def write_prepared(redis: Redis, prepared: Prepared, *, ttl: int) -> set[str]:
    """Write snapshots after the commit; the displays that `write_timeline_cache` has to write.

    Raises:
        UnavailableError: Redis does not answer; it then has the old snapshots.
    """
    with redis_errors(redis):
        newer = write_newer(redis, prepared.snapshots, ttl=ttl)
    return {*newer, *prepared.unrecorded}

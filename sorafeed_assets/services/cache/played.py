"""Snapshots of displays that were played: read before the commit, written after it.

No lock is held while Redis answers. A version keeps an older snapshot from replacing a newer one;
a display whose stored one was newer is written again by `services.cache.write`, under its lock.
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
from sorafeed_assets.storage.cache.snapshots import read_played
from sorafeed_assets.storage.timelines.advance import PlayedTimeline

# Some 25 kB each.
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

    The video of a queue row never changes, so it is read and encoded once. It is kept as UTF-8: one
    emoji in a text makes Python take four bytes for each of its characters.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._videos: LRUCache[str, Mapping[str, bytes]] = LRUCache(_MOST_DISPLAYS)

    def prepare(self, connection: Connection, display_ids: Collection[str]) -> Prepared:
        """Read the snapshots of displays, whose snapshots' locks the caller holds."""
        if not display_ids:
            return Prepared()
        return self.encode(read_played(connection, display_ids, self.known(display_ids)))

    def known(self, display_ids: Collection[str]) -> list[str]:
        """The queue rows whose videos need not be read, as `encode` has them."""
        with self._lock:
            return [entry for name in display_ids for entry in self._videos.get(name, ())]

    def encode(self, found: Sequence[PlayedTimeline], unrecorded: Collection[str] = ()) -> Prepared:
        """The snapshots of displays that were read; those of others are ``unrecorded`` too."""
        snapshots: list[DisplaySnapshot] = []
        left = set(unrecorded)
        for each in found:
            videos = self._encoded(each)
            if videos is None or each.cached.recorded != each.cached.version:
                left.add(each.display_id)
                continue
            text = timeline_text(each, videos)
            state, written_by = each.cached.state, each.cached.written_by
            snapshots.append(DisplaySnapshot(each.display_id, text, state, written_by))
        return Prepared(snapshots, left)

    def _encoded(self, found: PlayedTimeline) -> Mapping[str, bytes] | None:
        """The videos of a queue by row; None when one was left out that is not known any more."""
        with self._lock:
            known = self._videos.get(found.display_id, {})
        videos: dict[str, bytes] = {}
        for row in found.videos:
            if row.id in known:
                videos[row.id] = known[row.id]
            elif row.video is None:
                return None
            else:
                videos[row.id] = canonical_json(row.video).encode()
        with self._lock:
            self._videos[found.display_id] = videos
        return videos


def timeline_text(found: PlayedTimeline, videos: Mapping[str, bytes]) -> str:
    """The snapshot of a display as canonical JSON; ``videos`` has those of its rows as UTF-8."""
    cached = found.cached
    playlist = "null" if cached.playlist_id is None else f'"{cached.playlist_id}"'
    rows = ",".join(
        f'{{"block_id":"{row.block_id}","id":"{row.id}","loop_iteration":{row.loop_iteration},'
        f'"status":"{row.status}","timeline_position":{row.timeline_position},'
        f'"video":{videos[row.id].decode()},"video_id":{canonical_json(row.video_id)}}}'
        for row in found.videos
    )
    build = "null" if found.build is None else found.build
    return (
        f'{{"build":{build},"loop":{found.loop},"playlist_id":{playlist},'
        f'"position":{found.position},"version":"{cached.version}","videos":[{rows}]}}'
    )


def write_prepared(redis: Redis, prepared: Prepared, *, ttl: int) -> set[str]:
    """Write snapshots after the commit; returns the displays left to `write_timeline_cache`.

    Raises:
        UnavailableError: Redis does not answer; it then has the old snapshots.
    """
    with redis_errors(redis):
        newer = write_newer(redis, prepared.snapshots, ttl=ttl)
    return {*newer, *prepared.unrecorded}

"""The context of one GraphQL request: caller, batched reads, and the tags of the answer."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar
from uuid import UUID

import strawberry
from sqlalchemy import Engine
from strawberry.dataloader import DataLoader

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.records import (
    BuildRecord,
    CountedBlock,
    DisplayRecord,
    Page,
    PlaylistRecord,
    PostRecord,
)
from sorafeed_assets.services.timelines.views import TimelineView, timeline_views
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.cache.redis import COUNTS_TAG, display_tag

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Context:
    """The context of one request. Its batches are its own, so that it never reads old data."""

    def __init__(
        self,
        server: ServerState,
        principal: Principal,
        tags: set[str],
        *,
        may_store: bool,
        replica: Engine | None = None,
    ) -> None:
        self.server = server
        self.principal = principal
        self.tags = tags
        self.may_store = may_store
        self.has_changed = False
        reads = self.reads = server.queries if replica is None else Queries(replica)
        self.displays: DataLoader[str, DisplayRecord | None] = self._loader(reads.displays)
        self.playlists: DataLoader[UUID, PlaylistRecord | None] = self._loader(reads.playlists)
        self._blocks: DataLoader[UUID, list[CountedBlock] | None] = self._loader(
            reads.counted_blocks
        )
        self.builds: DataLoader[str, list[BuildRecord] | None] = self._loader(reads.builds)
        self.posts: DataLoader[str, PostRecord | None] = self._loader(reads.posts)
        self.views: DataLoader[str, TimelineView | None] = self._loader(
            lambda ids: timeline_views(server.engine, ids)
        )
        self._totals: DataLoader[str, dict[str, int] | None] = self._loader(self._read_totals)
        self._pages: dict[int, DataLoader[str, Page[PlaylistRecord] | None]] = {}

    def _loader(
        self, read: Callable[[Collection[_Key]], Mapping[_Key, _Value]]
    ) -> DataLoader[_Key, _Value | None]:
        async def load(keys: list[_Key]) -> list[_Value | None]:
            found = await self.server.run(lambda: read(keys))
            return [found.get(key) for key in keys]

        # A batch is bounded: a page has at most a hundred rows with up to a hundred parts each.
        return DataLoader(load_fn=load, max_batch_size=10_000)

    def _read_totals(self, terms: Collection[str]) -> dict[str, dict[str, int]]:
        totals: dict[str, dict[str, int]] = {}
        for (term, format_), total in self.reads.totals(terms).items():
            totals.setdefault(term, {})[format_] = total
        return totals

    def total(self, term: str) -> Awaitable[dict[str, int] | None]:
        """The totals of a counted term, per format."""
        self.tags.add(COUNTS_TAG)
        return self._totals.load(term)

    def blocks(self, playlist_id: UUID) -> Awaitable[list[CountedBlock] | None]:
        """The blocks of a playlist with their counts, read for many playlists at once."""
        self.tags.add(COUNTS_TAG)
        return self._blocks.load(playlist_id)

    def playlists_of(self, display_id: str, first: int) -> Awaitable[Page[PlaylistRecord] | None]:
        """The first playlists of a display, read for many displays at once."""
        if first not in self._pages:
            reads = self.reads
            self._pages[first] = self._loader(lambda ids: reads.playlists_of(ids, first))
        return self._pages[first].load(display_id)

    def touch(self, display_id: str) -> None:
        """Note that the answer depends on a display."""
        self.tags.add(display_tag(display_id))

    async def change(self, work: Callable[[Commands], _Value]) -> _Value:
        """Run a change; discards everything that was read before.

        Raises:
            UnavailableError: PostgreSQL is busy or does not answer.
        """
        result = await self.server.change(lambda: work(self.server.commands))
        self.has_changed = True
        self._forget()
        return result

    async def read_back(self, found: Awaitable[_Value]) -> _Value:
        """Await a read that follows a change.

        Raises:
            UnavailableError: the read failed; the message says that the change is stored.
        """
        try:
            return await found
        except UnavailableError as error:
            raise stored_but(error) from error

    def _forget(self) -> None:
        loaders: list[DataLoader[Any, Any]] = [self.displays, self.playlists, self._blocks]
        loaders += [self.builds, self.posts, self.views, self._totals]
        loaders += self._pages.values()
        for loader in loaders:
            loader.clear_all()


Info = strawberry.Info[Context, None]


def stored_but(error: UnavailableError) -> UnavailableError:
    """The error for a change that is stored, but could not be read back."""
    return UnavailableError(f"the change is stored, but could not be read back: {error}")

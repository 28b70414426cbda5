"""What is written meanwhile: edits through the API and by SQL, and a scanner's posts."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.chaos.http_client import CHANGE_SECONDS, Client, Count
from sorafeed_assets.demo.playlists import REAL_PLAYLIST, demo_playlist
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.storage import chaos as sql

_EDIT_SECONDS: Final = 0.5
_SQL_SECONDS: Final = 1.0
_SCAN_SECONDS: Final = 1.0
_MOST_POSTS: Final = 20
_AGAIN_SECONDS: Final = 0.3
_DEMO_PLAYLISTS: Final = 400
_OK: Final = 200
_TERMS: Final = tuple(block.search_term for block in REAL_PLAYLIST)

_CREATE: Final = """
mutation ($display: ID!, $blocks: [BlockInput!]!) {
  createPlaylist(displayId: $display, name: "Chaos", blocks: $blocks) { playlist { id } }
}
"""
_REPLACE: Final = """
mutation ($playlist: ID!, $blocks: [BlockInput!]!) {
  replaceBlocks(playlistId: $playlist, blocks: $blocks) { playlist { id } }
}
"""
_SKIP: Final = """
mutation ($display: ID!) { skip(displayId: $display) { videoId } }
"""

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Written:
    """What was written and acknowledged.

    Attributes:
        edits: calls of the API.
        playlists: the playlists that the API said to have stored.
        posts: the posts whose insert was committed.
        sql: how many edits by SQL were committed.
    """

    edits: Count = field(default_factory=Count)
    playlists: list[str] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    sql: int = 0


async def edit(
    port: int, token: str, displays: Sequence[str], written: Written, stop: asyncio.Event, seed: int
) -> None:
    """Edit displays through the API, one after another, until ``stop``."""
    rng = random.Random(seed)  # noqa: S311  # edits, not secrets
    client = Client(port, token, rng)
    newest: dict[str, str] = {}
    while not stop.is_set():
        display = rng.choice(displays)
        choice = rng.random()
        drafts = demo_playlist(rng.randrange(_DEMO_PLAYLISTS) + 2, seed)
        blocks = [_block(draft) for draft in drafts]
        if display in newest and choice < 0.4:
            change = {"playlist": newest[display], "blocks": blocks}
            await _mutate(client, written, _REPLACE, change)
        elif choice < 0.8:
            made = await _mutate(client, written, _CREATE, {"display": display, "blocks": blocks})
            if made is not None:
                newest[display] = made["createPlaylist"]["playlist"]["id"]
                written.playlists.append(newest[display])
        else:
            await _mutate(client, written, _SKIP, {"display": display})
        await asyncio.sleep(_EDIT_SECONDS * rng.uniform(0.5, 1.5))
    await client.close()


def _block(draft: BlockDraft) -> dict[str, Any]:
    return {
        "search": draft.search_term,
        "videoCount": draft.video_count,
        "fetchMode": draft.fetch_mode.name,
        "format": draft.format.name,
    }


async def _mutate(
    client: Client, written: Written, query: str, variables: dict[str, Any]
) -> dict[str, Any] | None:
    """The data of a mutation's answer; None without one, or when it is refused."""
    reply = await client.call(
        written.edits,
        "/graphql",
        {"query": query, "variables": variables},
        seconds=CHANGE_SECONDS,
        # An attempt whose answer is lost is not made twice.
        headers={"idempotency-key": secrets.token_hex(16)},
    )
    if reply is None or reply.status != _OK or reply.body.get("errors"):
        return None
    data: dict[str, Any] = reply.body["data"]
    return data


def edit_by_sql(
    engine: Engine, displays: Sequence[str], written: Written, stop: Event, seed: int
) -> None:
    """Change blocks, delete and exclude queued posts by plain SQL until ``stop``."""
    rng = random.Random(seed)  # noqa: S311  # edits, not secrets
    while not stop.wait(_SQL_SECONDS * rng.uniform(0.5, 1.5)):
        display, count, choice = rng.choice(displays), rng.randint(1, 12), rng.random()
        try:
            with engine.begin() as connection:
                if choice < 0.3:
                    sql.delete_queued_post(connection, display)
                elif choice < 0.4:
                    sql.exclude_queued_post(connection, display)
                elif choice < 0.45:
                    sql.allow_all(connection)
                else:
                    sql.change_video_count(connection, display, count)
        except SQLAlchemyError as error:
            _log.debug("an edit by SQL is not made: %s", error)
        else:
            written.sql += 1


def scan(engine: Engine, written: Written, stop: Event, seed: int) -> None:
    """Insert posts in small batches until ``stop``; a batch is repeated until it is committed."""
    rng = random.Random(seed)  # noqa: S311  # posts, not secrets
    number = 0
    while not stop.wait(_SCAN_SECONDS * rng.uniform(0.5, 1.5)):
        now = datetime.now(UTC)
        posts = [
            sql.ScannedPost(
                f"{sql.SCANNED}{seed}_{number + place:08}",
                f"A {rng.choice(_TERMS)} that the scanner found as number {number + place}",
                now - timedelta(seconds=rng.randrange(3_600)),
                *rng.choice(((640, 352), (352, 640))),
            )
            for place in range(rng.randint(1, _MOST_POSTS))
        ]
        number += len(posts)
        if _committed(lambda posts=posts: _store(engine, posts), stop):  # type: ignore[misc]  # bound at once
            written.posts += [post.id for post in posts]


def _store(engine: Engine, posts: Sequence[sql.ScannedPost]) -> None:
    with engine.begin() as connection:
        sql.scan(connection, posts)


def _committed(work: Callable[[], None], stop: Event) -> bool:
    """Do work until it succeeds; False when the run ends first."""
    while True:
        try:
            work()
        except SQLAlchemyError:
            if stop.is_set():
                return False
            time.sleep(_AGAIN_SECONDS)
        else:
            return True

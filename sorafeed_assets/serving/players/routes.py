"""The endpoints of players: the next videos, plays, and the stream of changes."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import msgspec
import orjson
import structlog
from cachetools import LRUCache, cached
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from sorafeed_assets.domain.digest import canonical_json
from sorafeed_assets.domain.errors import DisplayNotFoundError, UnavailableError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.cache.write import write_timeline_cache
from sorafeed_assets.services.commands import PlaybackState
from sorafeed_assets.services.timelines.driving import must_drive
from sorafeed_assets.services.timelines.guide import note_durations
from sorafeed_assets.services.tokens import Role, Token
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.live.changes import Subscription
from sorafeed_assets.serving.live.events import StreamEvent
from sorafeed_assets.serving.live.snapshots import Stored
from sorafeed_assets.serving.players.media import media_url
from sorafeed_assets.serving.players.requests import (
    display_of,
    duration_in,
    entry_in,
    json_body,
    number_in,
)
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.cache.redis import (
    display_tag,
    length_tag,
    playback_key,
    redis_errors,
    remote_tag,
    timeline_key,
    write_missing,
)
from sorafeed_assets.storage.cache.snapshots import timeline_snapshots
from sorafeed_assets.storage.timelines import playback

_FEWEST: Final = 3
_MOST: Final = 5
# Of a display's token. A client that has too many reconnects after a minute, not at once.
_MOST_STREAMS: Final = 10
_OPEN: Final = f"retry: 1000\nevent: {StreamEvent.OPEN}\ndata: []\n\n".encode()
_CLOSING: Final = f"event: {StreamEvent.CLOSING}\ndata: []\n\n".encode()
_REPLACED: Final = f"retry: 60000\nevent: {StreamEvent.REPLACED}\ndata: []\n\n".encode()
_HEARTBEAT_SECONDS: Final = 15.0
# Without PostgreSQL, how long a player waits for a Redis that is late, and between two reads.
_AT_LAST_SECONDS: Final = 3.0
_LATE_PAUSE_SECONDS: Final = 0.1
# Answers for some 2,000 players, at 8 kB each.
_KEPT_BYTES: Final = 16_000_000
# Until they are stored, a few seconds later. One that is left out is reported with the next play.
_MOST_DURATIONS: Final = 10_000
# Some 1.4 kB for each; an answer has five.
_KEPT_VIDEOS: Final = 6_000
_UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError)

_log: Final = structlog.get_logger(__name__)


class _Row(msgspec.Struct):
    """A row of a snapshot; its video is read when it is asked for first."""

    id: str
    video_id: str
    loop_iteration: int
    timeline_position: int
    status: str
    video: msgspec.Raw


class _Snapshot(msgspec.Struct):
    """What an answer needs of a snapshot."""

    build: int | None
    loop: int
    position: int
    videos: list[_Row]


_snapshots: Final = msgspec.json.Decoder(_Snapshot)


async def next_videos(request: Request) -> Response:
    """Answer what to play now and what to preload; 304 when the player has it already.

    A display that the old system drives is refused. Its events continue, so that its player knows
    when this system drives it again.
    """
    server, code = display_of(request)
    count = _count(request.query_params.get("count"))
    must_drive(server.flags.held, code)
    etag, body = await _read(server, code, count)
    server.calls[code] = datetime.now(UTC)
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if _knows(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


async def _read(server: ServerState, code: str, count: int) -> tuple[str, bytes]:
    """The ETag and the body of an answer, from Redis in one round trip, else from PostgreSQL.

    Without PostgreSQL even a snapshot that may be old is used.
    """
    is_wrong = False
    if server.snapshots_are_current:
        kept = await _kept(server, code)
        if kept is not None and server.snapshots_are_current:
            try:
                return _playable(code, *kept, count)
            except _UNREADABLE:
                is_wrong = True
    server.metrics.fallbacks.inc()
    try:
        stored = await server.run(lambda: _read_stored(server, code))
    except UnavailableError as error:
        kept = await _kept_at_last(server, code)
        if kept is None:
            raise
        try:
            return _playable(code, *kept, count)
        except _UNREADABLE:
            raise error from None
    if is_wrong:
        await _repair(server, code)
    return _playable(code, *stored, count)


async def _repair(server: ServerState, code: str) -> None:
    """Replace a snapshot that cannot be read; a newer one is never overwritten."""
    _log.warning("the snapshot in Redis cannot be read and is written again", display=code)
    with contextlib.suppress(UnavailableError):
        await server.change(
            lambda: write_timeline_cache(
                server.change_engine,
                server.redis,
                [code],
                ttl=server.settings.cache_ttl_seconds,
            )
        )


async def _kept(server: ServerState, code: str) -> Stored | None:
    with contextlib.suppress(RedisError, OSError):
        return await server.snapshots.read(code)
    return None


async def _kept_at_last(server: ServerState, code: str) -> Stored | None:
    """Wait for a Redis that is late, as on a busy machine: nothing else has an answer."""
    with contextlib.suppress(TimeoutError, RedisError, OSError):
        async with asyncio.timeout(_AT_LAST_SECONDS):
            while True:
                try:
                    return await server.snapshots.read(code)
                except RedisTimeoutError:
                    await asyncio.sleep(_LATE_PAUSE_SECONDS)
    return None


def _read_stored(server: ServerState, code: str) -> Stored:
    with server.engine.connect() as connection:
        found = timeline_snapshots(connection, [code]).get(code)
        state = playback.playback_state(connection, code)
    if found is None or state is None:
        raise DisplayNotFoundError(code)
    snapshot = canonical_json(found)
    if server.snapshots_are_current:
        values = {timeline_key(code): snapshot, playback_key(code): state}
        # Without Redis, the next call reads Postgres again.
        with contextlib.suppress(UnavailableError), redis_errors(server.redis):
            write_missing(server.redis, values, ttl=server.settings.cache_ttl_seconds)
    return snapshot.encode(), state


# By display and count, the last answer and what it is of: the hash of the snapshot (64 bits, with a
# random key), its length, and the state. The snapshot itself is twice as long as the answer.
_answers: LRUCache[tuple[str, int], tuple[tuple[int, int, str], tuple[str, bytes]]] = LRUCache(
    _KEPT_BYTES, lambda kept: len(kept[1][1])
)


def _playable(code: str, snapshot: bytes, state: str, count: int) -> tuple[str, bytes]:
    """The ETag and the body of an answer; the last one of each display and count is kept.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError: the snapshot or the
            state is invalid.
    """
    of = hash(snapshot), len(snapshot), state
    kept = _answers.get((code, count))
    if kept is not None and kept[0] == of:
        return kept[1]
    stored = _snapshots.decode(snapshot)
    PlaybackState(state)
    body = orjson.dumps({
        "display": code,
        "build": stored.build,
        "loop": stored.loop,
        "position": stored.position,
        "state": state,
        "videos": [orjson.Fragment(_row(row)) for row in stored.videos[:count]],
    })  # fmt: skip
    answer = f'"{_etag(snapshot, state, count)}"', body
    # ValueError: the body alone is larger than the cache.
    with contextlib.suppress(ValueError):
        _answers[code, count] = of, answer
    return answer


def _row(row: _Row) -> bytes:
    place = {
        "entry": row.id,
        "video": row.video_id,
        "loop": row.loop_iteration,
        "position": row.timeline_position,
        "status": row.status,
    }
    return orjson.dumps(place)[:-1] + b"," + _video(row)[1:]


# The video of a queue row never changes, and is in as many answers as the queue has rows.
@cached(LRUCache(_KEPT_VIDEOS), key=lambda row: row.id)
def _video(row: _Row) -> bytes:
    video = msgspec.json.decode(row.video)
    size = (video.get("width"), video.get("height"))
    addresses = [
        media_url(row.video_id, video.get(name), *size) for name in ("video_url", "video_url_md")
    ]
    creator = video.get("creator") or {}
    return orjson.dumps({
        "sources": list(dict.fromkeys(url for url in addresses if url)),
        "width": size[0],
        "height": size[1],
        "text": video.get("text"),
        "creator": creator.get("display_name") or creator.get("username"),
    })  # fmt: skip


def _etag(snapshot: bytes, state: str, count: int) -> str:
    digest = hashlib.blake2b(f"{count} {state} ".encode(), digest_size=16)
    digest.update(snapshot)
    return digest.hexdigest()


def _knows(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in known or etag in known


def _count(given: str | None) -> int:
    return _MOST if given is None else number_in(given, "count", _FEWEST, _MOST)


async def started(request: Request) -> Response:
    """Record that the head of the queue is on screen, so that an edit leaves it there.

    The player may report how long the video is, for the guide.
    """
    server, code = display_of(request)
    body = await json_body(request)
    entry, duration = entry_in(body), duration_in(body)
    if duration is not None and len(server.durations) < _MOST_DURATIONS:
        server.durations[entry] = code, duration
    begun = await server.change(lambda: server.commands.begin(code, entry))
    if begun:
        server.reactions.started(code)
    return JSONResponse({"begun": begun})


async def events(request: Request) -> Response:
    """Stream the tags of changes as server-sent events, of one display or of all."""
    server: ServerState = request.app.state.server
    principal: Principal = request.state.principal
    code = request.path_params.get("code")
    if code is not None:
        check_display_code(code)
    principal.must_read(code)
    tags = None
    if code is not None:
        tags = [display_tag(code), remote_tag(code), "all"]
        if principal.token.role is not Role.DISPLAY:
            # A player knows how long its video is.
            tags.append(length_tag(code))
    return StreamingResponse(
        _stream(server, tags, principal.token),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _stream(
    server: ServerState, tags: list[str] | None, token: Token
) -> AsyncIterator[bytes]:
    is_player = token.role is Role.DISPLAY
    most = _MOST_STREAMS if is_player else server.settings.api_streams_per_token
    subscription: Subscription
    with server.hub.subscribe(tags, token, most) as subscription:
        yield _OPEN
        while True:
            heard = await subscription.next(_HEARTBEAT_SECONDS)
            if heard is None:
                if subscription.is_replaced:
                    yield _REPLACED
                elif subscription.is_closing:
                    yield _CLOSING
                return
            if heard:
                yield f"event: {StreamEvent.CHANGE}\ndata: {json.dumps(heard)}\n\n".encode()
                server.reactions.sent(heard)
            else:
                yield b": still here\n\n"


async def store_durations(server: ServerState) -> None:
    """Store the durations that players reported, and notify pages of those that were unknown."""
    told, server.durations = server.durations, {}
    news = await server.change(lambda: note_durations(server.change_engine, told))
    if news:
        await server.change(lambda: server.commands.settler.tell(*map(length_tag, news)))


async def note_calls(server: ServerState, silence: float) -> None:
    """Store when displays called, and notify pages of those that went online or offline."""
    calls, server.calls = server.calls, {}
    try:
        await server.change(lambda: server.commands.note_calls(calls, silence))
    except BaseException:
        # They are stored when PostgreSQL answers again; later calls take precedence.
        server.calls = {**calls, **server.calls}
        raise

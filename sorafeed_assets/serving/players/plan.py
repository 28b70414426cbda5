"""The plan that a player plays by when it reaches no server: signed, and valid for some days."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sorafeed_assets.services.records import PostRecord
from sorafeed_assets.services.signing import PlannedPick
from sorafeed_assets.services.timelines.ahead import Ahead, ahead_of
from sorafeed_assets.services.timelines.driving import must_drive
from sorafeed_assets.serving.players.media import media_url
from sorafeed_assets.serving.players.requests import display_of
from sorafeed_assets.serving.state import ServerState

# As in a queue.
_TEXT: int = 280


async def plan(request: Request) -> Response:
    """Answer what the display plays next if nothing changes, as text with its signature."""
    server, code = display_of(request)
    must_drive(server.flags.held, code)
    async with server.plans_at_once:
        body = await server.run(lambda: _signed(server, code))
    return Response(body, media_type="application/json")


def _signed(server: ServerState, code: str) -> bytes:
    settings = server.settings
    ahead = ahead_of(
        server.engine,
        code,
        settings.player_plan_videos,
        pool_size=settings.candidates_per_pool,
        flags=server.flags,
    )
    issued = datetime.now(UTC)
    text = orjson.dumps({
        "display": code,
        "build": ahead.build_id,
        "state": ahead.state,
        "issued_at": issued.isoformat(),
        "expires_at": (issued + timedelta(hours=settings.player_plan_hours)).isoformat(),
        **_videos(server, ahead),
    }).decode()  # fmt: skip
    signed = server.signer.sign(text)
    return orjson.dumps({"key": signed.key, "signature": signed.signature, "plan": text})


def _videos(server: ServerState, ahead: Ahead) -> dict[str, Any]:
    """The picks with their videos, up to the first post that was deleted, where queues end too."""
    posts = server.queries.posts({pick.video_id for pick in ahead.picks})
    there = next(
        (n for n, pick in enumerate(ahead.picks) if pick.video_id not in posts), len(ahead.picks)
    )
    picks = ahead.picks[:there]
    receipts = server.signer.receipts([
        PlannedPick(ahead.display_id, pick.block_id, pick.video_id, pick.loop, pick.position)
        for pick in picks
    ])  # fmt: skip
    videos = [
        {
            "entry": None if pick.entry is None else str(pick.entry),
            "video": pick.video_id,
            "block": str(pick.block_id),
            "loop": pick.loop,
            "position": pick.position,
            "receipt": receipt,
            **_video(posts[pick.video_id]),
        }
        for pick, receipt in zip(picks, receipts, strict=True)
    ]
    return {"round": ahead.round if ahead.round < there else 0, "videos": videos}


def _video(post: PostRecord) -> dict[str, Any]:
    addresses = [
        media_url(post.id, url, post.width, post.height)
        for url in (post.video_url, post.video_url_md)
    ]
    return {
        "sources": list(dict.fromkeys(url for url in addresses if url)),
        "width": post.width,
        "height": post.height,
        "text": None if post.text is None else post.text[:_TEXT],
        "creator": post.display_name or post.username,
    }

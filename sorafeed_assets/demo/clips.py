"""The routes of the demo's videos, in place of the catalogue's addresses, which do not exist.

`sorafeed up` and `sorafeed serve` mount the routes; the API itself does not import them.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.extras import require
from sorafeed_assets.serving.players.media import CLIPS_EACH
from sorafeed_assets.serving.state import ServerState

_VERSION: Final = "1"
_NAME: Final = re.compile(r"(wide|tall)-([0-9])\.(webm|webp)", re.ASCII)
_YEAR: Final = 31_536_000
_TYPES: Final = {"webm": "video/webm", "webp": "image/webp"}


def routes() -> list[Route]:
    """The clips' routes, for one application."""
    # A poster is drawn in milliseconds, and must not wait for a clip.
    drawing = {kind: asyncio.Lock() for kind in _TYPES}

    async def clip(request: Request) -> Response:
        """Answer with a clip or its poster, drawn at its first request; ranges are supported."""
        server: ServerState = request.app.state.server
        found = _NAME.fullmatch(request.path_params["name"])
        if found is None or int(found[2]) >= CLIPS_EACH:
            raise NotFoundError("there is no such clip")
        folder = server.settings.data_dir.resolve() / "clips" / _VERSION
        path = folder / found[0]
        if not path.exists():
            async with drawing[found[3]]:
                if not path.exists():
                    make = make_clip if found[3] == "webm" else make_poster
                    await asyncio.to_thread(make, path, found[1], int(found[2]))
        headers = {"cache-control": f"public, max-age={_YEAR}, immutable"}
        return FileResponse(path, media_type=_TYPES[found[3]], headers=headers)

    return [Route("/clips/{name}", clip)]


def make_clip(path: Path, shape: str, number: int) -> None:
    """Draw and encode one clip; the file appears when it is complete.

    Raises:
        SetupError: the extra [demo] is not installed.
    """
    require("demo")
    from sorafeed_assets.demo.drawing import draw_clip

    _make(path, lambda part: draw_clip(part, shape, number))


def make_poster(path: Path, shape: str, number: int) -> None:
    """Draw the poster of a clip; the file appears when it is complete.

    Raises:
        SetupError: the extra [demo] is not installed.
    """
    require("demo")
    from sorafeed_assets.demo.drawing import draw_poster

    _make(path, lambda part: draw_poster(part, shape, number))


def _make(path: Path, draw: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    draw(part)
    part.replace(path)

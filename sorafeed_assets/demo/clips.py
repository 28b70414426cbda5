"""Small videos for the demo's posts, made here: the catalogue's own addresses lead nowhere.

`sorafeed up` and `sorafeed serve` mount the routes; the API itself does not know them.
"""

import asyncio
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.serving.players.media import CLIPS_EACH
from sorafeed_assets.serving.runtime import Runtime

_VERSION: Final = "1"
_NAME: Final = re.compile(r"(wide|tall)-([0-9])\.webm", re.ASCII)
_SIZES: Final = {"wide": (480, 264), "tall": (264, 480)}
_FRAMES_A_SECOND: Final = 20
_SECONDS: Final = 3
_YEAR: Final = 31_536_000
# Two colours each, that run into each other.
_COLOURS: Final = (
    ((20, 40, 92), (48, 132, 189)),
    ((64, 22, 84), (205, 84, 122)),
    ((10, 72, 66), (104, 182, 128)),
    ((102, 44, 16), (232, 160, 72)),
    ((30, 30, 42), (122, 128, 158)),
    ((84, 16, 40), (222, 104, 74)),
)


def routes() -> list[Route]:
    """The clips' routes, for one application."""
    drawing = asyncio.Lock()

    async def clip(request: Request) -> Response:
        """Answer with a clip, drawn at the first request for it; ranges are supported."""
        runtime: Runtime = request.app.state.runtime
        found = _NAME.fullmatch(request.path_params["name"])
        if found is None or int(found[2]) >= CLIPS_EACH:
            raise NotFoundError("there is no such clip")
        folder = runtime.settings.data_dir.resolve() / "clips" / _VERSION
        path = folder / found[0]
        if not path.exists():
            async with drawing:
                if not path.exists():
                    await asyncio.to_thread(make_clip, path, found[1], int(found[2]))
        headers = {"cache-control": f"public, max-age={_YEAR}, immutable"}
        return FileResponse(path, media_type="video/webm", headers=headers)

    return [Route("/clips/{name}", clip)]


def make_clip(path: Path, shape: str, number: int) -> None:
    """Draw and encode one clip; whoever finds the file finds all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    width, height = _SIZES[shape]
    with av.open(str(part), "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=_FRAMES_A_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 400_000
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
        total = _FRAMES_A_SECOND * _SECONDS
        for index in range(total):
            picture = _draw(width, height, number, index / total)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, _FRAMES_A_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    part.replace(path)


def _draw(width: int, height: int, number: int, moment: float) -> NDArray[np.uint8]:
    """One picture: two colours that drift, a ring that goes round, and the clip's number."""
    first, second = (np.array(colour, dtype=np.float32) for colour in _COLOURS[number])
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    turn = 2 * math.pi * moment
    mix = 0.5 + 0.5 * np.sin(2.4 * (across * math.cos(turn / 2) + down) + turn)
    picture = (first + (second - first) * mix[..., None]).astype(np.uint8)
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image, "RGBA")
    middle, reach = (width / 2, height / 2), min(width, height) * 0.3
    pen.ellipse(_box(middle, reach), outline=(255, 255, 255, 70), width=3)
    spot = (middle[0] + reach * math.sin(turn), middle[1] - reach * math.cos(turn))
    pen.ellipse(_box(spot, reach * 0.12), fill=(255, 255, 255, 230))
    font = ImageFont.load_default(size=int(reach * 0.9))
    pen.text(middle, str(number + 1), font=font, fill=(255, 255, 255, 235), anchor="mm")
    return np.asarray(image, dtype=np.uint8)


def _box(middle: tuple[float, float], reach: float) -> tuple[float, float, float, float]:
    x, y = middle
    return (x - reach, y - reach, x + reach, y + reach)

"""Drawing the demo's small videos; the only module that needs the extra [demo]."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_SIZES: Final = {"wide": (480, 264), "tall": (264, 480)}
_FRAMES_A_SECOND: Final = 20
_SECONDS: Final = 3
# The two colours of each gradient.
_COLOURS: Final = (
    ((20, 40, 92), (48, 132, 189)),
    ((64, 22, 84), (205, 84, 122)),
    ((10, 72, 66), (104, 182, 128)),
    ((102, 44, 16), (232, 160, 72)),
    ((30, 30, 42), (122, 128, 158)),
    ((84, 16, 40), (222, 104, 74)),
)


def draw_clip(path: Path, shape: str, number: int) -> None:
    """Draw and encode one clip, wide or tall, as WebM."""
    width, height = _SIZES[shape]
    with av.open(str(path), "w", format="webm") as container:
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


def draw_poster(path: Path, shape: str, number: int) -> None:
    """Draw the first frame of a clip, as WebP."""
    Image.fromarray(_draw(*_SIZES[shape], number, 0.0)).save(path, "WEBP", quality=70)


def _draw(width: int, height: int, number: int, moment: float) -> NDArray[np.uint8]:
    """One frame: a moving gradient of two colours, a rotating ring, and the clip's number."""
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

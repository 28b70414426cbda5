"""Pictures of pages for the docs."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page

from sorafeed_assets_tests.serving.browsing import until

_MOST_BYTES: Final = 100_000
_COLOURS: Final = (256, 128, 64)
# Pictures that are loaded when they come into view.
_ARE_LOADED: Final = """[...document.images].every((one) => {
  const { top, bottom } = one.getBoundingClientRect();
  return one.complete || bottom <= 0 || top >= innerHeight;
})"""


@dataclass(frozen=True, slots=True)
class Camera:
    """Saves pictures in a folder; without one, takes none."""

    folder: Path | None

    def take(self, page: Page, name: str, *, of: str | None = None) -> None:
        """Save what a page shows, or the element that a selector names."""
        if self.folder is None:
            return
        until(page, _ARE_LOADED)
        place = page if of is None else page.locator(of)
        picture = Image.open(io.BytesIO(place.screenshot(animations="disabled"))).convert("RGB")
        for colours in _COLOURS:
            small = picture.quantize(colours, dither=Image.Dither.NONE)
            written = io.BytesIO()
            small.save(written, "PNG", optimize=True)
            if written.tell() <= _MOST_BYTES:
                break
        assert written.tell() <= _MOST_BYTES, f"{name}: {written.tell()} bytes"
        (self.folder / f"{name}.png").write_bytes(written.getvalue())

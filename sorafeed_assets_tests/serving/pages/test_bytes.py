"""What the overview of 1,000 displays costs over the wire, with the files that it loads."""

import gzip
import re
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import zstandard

from sorafeed_assets.demo.catalogue import generate_day
from sorafeed_assets.serving.live.alerts import FiringAlerts
from sorafeed_assets.serving.pages import routes, views
from sorafeed_assets.serving.players.media import poster_url
from sorafeed_assets.settings import Settings

_STATIC: Final = Path(routes.__file__).parent / "static"
_MOST: Final = 200_000
# As `storage/lists.py` cuts a text.
_TEXT: Final = 120


def _cards() -> list[views.Card]:
    """Those of 1,000 displays, each of which plays another post of the demo."""
    now = datetime.now(UTC)
    return [
        views.Card(
            code=f"D{number:05}",
            name=f"Demo display {number}",
            is_online=True,
            state="playing",
            now=post.text[:_TEXT],
            is_shown=True,
            playlist="Demo playlist",
            queued=5,
            window=5,
            built_at=now - timedelta(seconds=number),
            has_called=True,
            problems=(),
            poster=poster_url(post.id, post.thumbnail_url, post.width, post.height),
            found_by=f"demo display {number} d{number:05} demo playlist",
        )
        for number, post in enumerate(generate_day(date(2026, 11, 20), 1_000, 1))
    ]


def _overview(cards: Sequence[views.Card]) -> bytes:
    return routes._overview_body(
        cards,
        alerts=FiringAlerts(Settings()),
        failed_counts={},
        late=0,
        failed_runs=0,
        reactions=[],
        links=[],
        has_old_system=False,
        is_admin=True,
        deletions=[],
        notice=None,
    )


def _loaded(page: str) -> set[str]:
    """The static files that a page names, and those that its scripts import."""
    waiting = set(re.findall(r'"/static/([\w.-]+)"', page))
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name.endswith(".js"):
            source = (_STATIC / name).read_text("utf-8")
            waiting |= set(re.findall(r'from "(?:\./|/static/)([\w.-]+)"', source)) - found
    return found


@pytest.mark.parametrize(
    "compress",
    [
        lambda body: gzip.compress(body, 5),
        zstandard.ZstdCompressor(3).compress,
    ],
    ids=["gzip", "zstd"],
)
def test_the_overview_of_a_thousand_displays_is_small(compress: Callable[[bytes], bytes]) -> None:
    page = _overview(_cards())
    assert page.count(b'<li class="card') == 1_000
    files = _loaded(page.decode())
    assert {"admin.css", "overview.js", "many.js", "api.js", "retry.js"} <= files
    bodies = [page, *((_STATIC / name).read_bytes() for name in files)]
    assert sum(len(compress(body)) for body in bodies) < _MOST


def test_building_the_overview_takes_little_more_memory_than_the_page() -> None:
    cards = [card._replace(now=f"🎬 {card.now}") for card in _cards()]
    size = len(_overview(cards))
    tracemalloc.start()
    try:
        _overview(cards)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The page, and its cards before they are in it; as a string each would take four times that.
    assert peak < 3 * size

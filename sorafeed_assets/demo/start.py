"""Loading the demo into an empty database when `sorafeed up` starts."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from sorafeed_assets.demo.seed import seed_catalog, seed_displays
from sorafeed_assets.services.counts.reads import count_posts
from sorafeed_assets.services.playlists.displays import list_displays
from sorafeed_assets.settings import Settings

DEFAULT_POSTS = 20_000
DEFAULT_DISPLAYS = 12


def load_demo(
    engine: Engine,
    settings: Settings,
    *,
    posts: int | None,
    displays: int | None,
    on_progress: Callable[[str, int, int], None],
) -> int:
    """Load the demo into an empty database; returns how many displays were added.

    Only the numbers that are given are loaded into a database that has posts or displays, or is to
    have those of an old system.
    """
    if settings.follows_legacy:
        posts, displays = posts or 0, displays or 0
    if posts != 0 and (posts is not None or count_posts(engine) == 0):
        seed_catalog(
            engine,
            posts=DEFAULT_POSTS if posts is None else posts,
            until=datetime.now(UTC),
            first_day=settings.catalog_first_day,
            on_progress=lambda done, total: on_progress("Loading posts", done, total),
        )
    if displays != 0 and (displays is not None or not list_displays(engine)):
        return seed_displays(engine, displays=DEFAULT_DISPLAYS if displays is None else displays)
    return 0

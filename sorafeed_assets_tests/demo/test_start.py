"""The demo is loaded into an empty database, and never between the rows of an old system."""

from pathlib import Path

from pydantic import PostgresDsn
from sqlalchemy import Engine

from sorafeed_assets.demo.start import load_demo
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run


def _load(
    engine: Engine, settings: Settings, posts: int | None = None, displays: int | None = None
) -> tuple[int, int]:
    """Load; how many posts and displays there are then."""
    load_demo(engine, settings, posts=posts, displays=displays, on_progress=lambda *_: None)
    return len(run(engine, "SELECT FROM sora_posts")), len(run(engine, "SELECT FROM displays"))


def test_an_empty_database_gets_what_is_asked_for(engine: Engine, settings: Settings) -> None:
    assert _load(engine, settings, posts=0, displays=2) == (0, 2)
    assert _load(engine, settings, posts=30) == (30, 2)
    assert _load(engine, settings) == (30, 2)


def test_nothing_is_loaded_where_an_old_system_is_named(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    sides: tuple[dict[str, object], ...] = (
        {"legacy_catalog_url": PostgresDsn("postgresql://reader@127.0.0.1:1/old")},
        {"legacy_queues": tmp_path / "old.sqlite"},
    )
    for side in sides:
        assert _load(engine, settings.model_copy(update=side)) == (0, 0)
    asked = settings.model_copy(update=sides[0])
    assert _load(engine, asked, posts=20, displays=1) == (20, 1)

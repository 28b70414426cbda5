"""What the walkthroughs share: Chromium, clips, pictures, and a Dagster database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.serving.browsing import chromium, copy_clips, watched_page
from sorafeed_assets_tests.walkthroughs.camera import Camera


@pytest.fixture
def camera(request: pytest.FixtureRequest) -> Camera:
    """Takes the pictures of the docs, with the option `--pictures`."""
    return Camera(request.config.getoption("pictures"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, per module, because its driver occupies the event loop of other modules."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A watched page."""
    with watched_page(browser) as opened:
        yield opened


@pytest.fixture
def addressed(settings: Settings, postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a database for Dagster, and with the demo's clips."""
    folder = settings.data_dir / "clips" / "1"
    folder.mkdir(parents=True)
    copy_clips(folder)
    with dagster_database(settings, postgres) as found:
        yield found

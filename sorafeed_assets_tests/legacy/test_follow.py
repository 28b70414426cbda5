"""When the old queues were last read is known: also of a file that nobody writes."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.services.legacy.follow import import_changed_queues
from sorafeed_assets.services.legacy.status import legacy_status
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.legacy.old_file import OldFile


@pytest.fixture
def settler(engine: Engine, settings: Settings) -> Iterator[Settler]:
    with Redis.from_url(str(settings.redis_url)) as redis:
        yield Settler.of(engine, redis, settings)


def _times(engine: Engine) -> tuple[datetime, datetime]:
    """When the file was imported, and when it was looked at."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT imported_at, looked_at FROM legacy_queues")).one()
    return found[0], found[1]


def test_when_the_queues_were_read_is_stored_and_shown(
    engine: Engine, settler: Settler, tmp_path: Path
) -> None:
    def look() -> bool:
        return import_changed_queues(engine, settler, file.path, with_posts=False) is not None

    file = OldFile(tmp_path / "old.sqlite")
    file.add_display("HALL01")
    assert look()
    imported, first = _times(engine)
    assert first >= imported
    # Unchanged: it was looked at, and not imported.
    assert not look()
    assert _times(engine)[0] == imported
    assert (second := _times(engine)[1]) > first
    # One that cannot be read was not looked at.
    away = file.path.rename(tmp_path / "away.sqlite")
    with pytest.raises(SetupError, match="No such file"):
        look()
    assert _times(engine) == (imported, second)
    status = legacy_status(engine, None, file.path).queues
    assert status is not None
    assert status.looked_at == second
    away.rename(file.path)
    # Written, so it is imported again.
    file.add_display("HALL02")
    assert look()
    again, third = _times(engine)
    assert again > imported
    assert third > second
    # As a release that did not store it has left it.
    run(engine, "UPDATE legacy_queues SET looked_at = NULL")
    assert not look()
    assert _times(engine)[1] > third

"""SQL of time slots beside a migration."""

from datetime import time
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.playlists.time_slots import SlotDraft, Weekday
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.playlists.timetables import load_slots, write_slots
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import add_display, add_playlist, run


def test_a_session_that_has_read_time_slots_reads_them_after_a_column_is_added(
    engine: Engine, settings: Settings
) -> None:
    add_display(engine, "AAAAAA")
    playlist: UUID = add_playlist(engine, "AAAAAA", [("cats", 1)])
    draft = SlotDraft(frozenset([Weekday.MONDAY]), time(8), time(9), "UTC")
    own = create_database_engine(str(settings.database_url), settings, pool_size=1)

    def read() -> bool:
        with own.begin() as connection:
            changed = write_slots(connection, playlist, [draft])
        with own.connect() as connection:
            assert [slot.draft for slot in load_slots(connection)["AAAAAA"]] == [draft]
        return changed

    assert [read() for _ in range(8)] == [True] + [False] * 7
    run(engine, "ALTER TABLE time_slots ADD COLUMN added integer")
    assert not read()
    own.dispose()

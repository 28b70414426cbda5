"""Loading without indexes: afterwards all indexes exist, exactly as before."""

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.storage.postgres.indexes import build_missing_indexes, indexes_built_after
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.wall import add_posts

_INDEXES = text(
    "SELECT indexdef FROM pg_indexes JOIN pg_index ON indexrelid = indexname::regclass"
    " WHERE schemaname = 'public' AND tablename = 'sora_posts' AND indisvalid ORDER BY 1"
)


def _indexes(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(_INDEXES))


def test_indexes_come_back_as_they_were(engine: Engine) -> None:
    before = _indexes(engine)
    told: list[tuple[int, int]] = []
    with indexes_built_after(engine, lambda done, total: told.append((done, total))) as are_missing:
        assert are_missing
        assert len(_indexes(engine)) == 1  # the primary key
        add_posts(engine, "cat", 3)
    assert _indexes(engine) == before
    assert told[-1] == (6, 6)
    assert build_missing_indexes(engine) == 0


def test_a_catalogue_with_posts_keeps_its_indexes(engine: Engine) -> None:
    add_posts(engine, "cat", 1)
    before = _indexes(engine)
    with indexes_built_after(engine) as are_missing:
        assert not are_missing
        assert _indexes(engine) == before


def test_after_a_load_that_failed_the_next_one_builds_them(engine: Engine) -> None:
    before = _indexes(engine)

    def load() -> None:
        with indexes_built_after(engine):
            add_posts(engine, "cat", 3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load()
    assert len(_indexes(engine)) == 1
    migrate(engine, with_indexes=False)
    with indexes_built_after(engine, may_drop=False) as are_missing:
        assert are_missing
        assert len(_indexes(engine)) == 1
    assert _indexes(engine) == before


def test_a_migration_builds_what_a_killed_load_left_out(engine: Engine) -> None:
    before = _indexes(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX sora_posts_search_idx, sora_posts_id_hash_idx"))
    migrate(engine)
    assert _indexes(engine) == before


def test_sessions_keep_their_time_outs(engine: Engine) -> None:
    build_missing_indexes(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "10min"

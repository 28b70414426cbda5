"""An old catalogue that cannot be copied is refused, with what to do."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import SetupError, UnavailableError
from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.services.legacy.catalog import check_readable, import_catalog
from sorafeed_assets.services.legacy.reconcile import parts, reconcile
from sorafeed_assets.storage.legacy import old_server
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets.storage.legacy.old_server import version_name
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.legacy.old_side import OldPost, add_old_posts, old_database, scan


def _refusal(url: str) -> str:
    with old_catalog(url) as old, pytest.raises(SetupError) as refused:
        check_readable(old)
    return str(refused.value)


def test_no_server() -> None:
    url = f"postgresql://u:secret@127.0.0.1:{free_port()}/old"
    with pytest.raises(UnavailableError) as refused, old_catalog(url):
        pass
    assert "does not answer" in str(refused.value)
    assert "check SORAFEED_LEGACY_CATALOG_URL" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_no_such_database(postgres: EmbeddedPostgres) -> None:
    with (
        pytest.raises(
            UnavailableError, match='refuses the connection: database "nowhere" does not'
        ),
        old_catalog(postgres.url("nowhere")),
    ):
        pass


def test_a_server_that_is_too_old(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with old_catalog(old_url) as old:
        version = old.inspect().version
    monkeypatch.setattr(old_server, "_OLDEST", version)
    with old_catalog(old_url):
        pass
    # Of a newer least version this server is an old one.
    monkeypatch.setattr(old_server, "_OLDEST", 990_000)
    name = version_name(version)
    for limits in ({}, {"a_setting_of_later": "on"}):
        with pytest.raises(SetupError) as refused, old_catalog(old_url, limits):
            pass
        found = str(refused.value)
        assert f"is on PostgreSQL {name}, and reading it needs 99 or later" in found
        assert "upgrade that server" in found
        assert "set SORAFEED_LEGACY_CATALOG_URL" in found
    # A setting that is wrong by itself is what is said.
    monkeypatch.setattr(old_server, "_OLDEST", version)
    with (
        pytest.raises(UnavailableError, match='unrecognized configuration parameter "a_setting'),
        old_catalog(old_url, {"a_setting_of_later": "on"}),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "name"),
    [(90_624, "9.6"), (90_510, "9.5"), (100_000, "10.0"), (100_023, "10.23"), (180_001, "18.1")],
)
def test_versions_are_written_as_people_say_them(number: int, name: str) -> None:
    assert version_name(number) == name


def test_another_schema(old_url: str, database_url: str, postgres: EmbeddedPostgres) -> None:
    assert "sora_posts.posted_at is timestamp with time zone" in _refusal(database_url)
    with psycopg.connect(old_url) as connection:
        connection.execute("ALTER TABLE sora_posts DROP COLUMN gif_url, DROP COLUMN task_id")
        connection.execute("DROP TABLE creators CASCADE")
    text = _refusal(old_url)
    assert "sora_posts has no column gif_url, task_id; it is another schema" in text
    assert "it has no table creators" in text


def test_no_rights(engine: Engine, old_url: str, postgres: EmbeddedPostgres) -> None:
    add_old_posts(old_url, 1)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'p'")
    stranger = old_url.replace(old_url.split("//")[1].split("@")[0], "stranger:p")
    assert "run there: GRANT SELECT ON sora_posts TO stranger" in _refusal(stranger)
    with (
        old_catalog(stranger) as old,
        pytest.raises(SetupError, match="GRANT SELECT ON creators"),
    ):
        import_catalog(engine, old, lambda *_: None)
    with engine.connect() as connection:
        for table in ("sora_posts", "creators", "legacy_cursors"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    with psycopg.connect(old_url) as connection:
        connection.execute("GRANT SELECT ON sora_posts, creators TO stranger")
    with old_catalog(stranger) as old:
        # What it can do without, and what it cannot.
        (warning,) = old.inspect().warnings
        assert "run there: GRANT pg_read_all_stats TO stranger" in warning
        with psycopg.connect(old_url, autocommit=True) as connection:
            connection.execute("GRANT pg_read_all_stats TO stranger")
        assert old.inspect().warnings == ()
        assert import_catalog(engine, old, lambda *_: None).posts == 1
    with psycopg.connect(old_url) as connection:
        connection.execute("DROP OWNED BY stranger")
        connection.execute("DROP ROLE stranger")


def test_a_zone_that_is_not_utc(engine: Engine, old_url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(old_url)["dbname"]
    with psycopg.connect(old_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET TimeZone = 'Europe/Berlin'").format(
                sql.Identifier(str(name))
            )
        )
    assert "its sessions are in the zone Europe/Berlin" in _refusal(old_url)
    with old_catalog(f"{old_url}?options=-c%20TimeZone%3DUTC") as old:
        assert import_catalog(engine, old, lambda *_: None).posts == 0


def test_an_encoding_that_says_nothing_is_refused(postgres: EmbeddedPostgres) -> None:
    with old_database(postgres, "old_ascii", "SQL_ASCII") as url:
        assert "its encoding is SQL_ASCII" in _refusal(url)


def test_texts_of_another_encoding_are_copied_and_equal(
    engine: Engine, postgres: EmbeddedPostgres
) -> None:
    with old_database(postgres, "old_latin", "LATIN1") as url:
        with psycopg.connect(url) as connection:
            scan(connection, [OldPost("p", text="Café Zürich")])
        with old_catalog(url) as old:
            check_readable(old)
            assert import_catalog(engine, old, lambda *_: None).posts == 1
            compared = [reconcile(engine, old, part) for part in parts(engine, old)]
    assert [row.text for row in run(engine, "SELECT text FROM sora_posts")] == ["Café Zürich"]
    assert sum(each.repaired for each in compared) == 0


def test_a_catalogue_without_statistics_is_counted(old_url: str) -> None:
    """As after a restore: it is as large as another one, so its indexes are built at the end."""
    add_old_posts(old_url, 12)
    with old_catalog(old_url) as old:
        assert old.estimate("sora_posts") == 12
        assert old.estimate("creators") == 7
        with psycopg.connect(old_url) as connection:
            connection.execute("ANALYZE")
            connection.execute("DELETE FROM sora_posts")
        assert old.estimate("sora_posts") == 12


def test_a_missing_index_is_told(old_url: str) -> None:
    with psycopg.connect(old_url) as connection:
        connection.execute("DROP INDEX idx_posts_indexed_at")
    with old_catalog(old_url) as old:
        (warning,) = old.inspect().warnings
    assert "CREATE INDEX CONCURRENTLY ON sora_posts (indexed_at)" in warning


def test_a_table_that_vanishes_is_told(engine: Engine, old_url: str) -> None:
    with old_catalog(old_url) as old:
        with psycopg.connect(old_url) as connection:
            connection.execute("DROP TABLE sora_posts")
        with pytest.raises(SetupError, match="run `sorafeed legacy check`"):
            old.count_since(old.safe_point(overlap=timedelta(0)))

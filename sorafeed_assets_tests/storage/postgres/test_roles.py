"""Each group may do what `GRANTS` says, and nothing else; `provide_roles` makes it so."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine, make_url, text

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.postgres.roles import (
    GRANTS,
    READER_COLUMNS,
    Allowed,
    Group,
    provide_roles,
)
from sorafeed_assets.storage.postgres.tables import metadata
from sorafeed_assets_tests.legacy.old_side import OPTIONS, TABLES, OldPost, scan
from sorafeed_assets_tests.roles import as_member
from sorafeed_assets_tests.wall import add_display

_PRIVILEGES = {
    "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "m": "MAINTAIN",
    # Never granted.
    "D": "TRUNCATE", "x": "REFERENCES", "t": "TRIGGER",
}  # fmt: skip


def _held(connection: psycopg.Connection, group: Group, table: str) -> str:
    """The letters of the privileges that a group has on a table."""
    return "".join(
        letter
        for letter, privilege in _PRIVILEGES.items()
        if connection.execute(
            "SELECT has_table_privilege(%s, %s, %s)", [group, table, privilege]
        ).fetchone()
        == (True,)
    )


def test_every_table_has_stated_grants() -> None:
    stored = {table.name for table in metadata.sorted_tables}
    assert set(GRANTS) == stored | {"alembic_version", "video_counts_by_search"}
    assert set(READER_COLUMNS) <= stored


def test_the_database_grants_what_is_stated(engine: Engine, database_url: str) -> None:
    assert provide_roles(engine).problems == ()
    with psycopg.connect(database_url) as connection:
        found = {
            table: Allowed(
                *(
                    _held(connection, group, table)
                    for group in (Group.READER, Group.PLAYER, Group.ENGINE, Group.SCANNER)
                )
            )
            for table in GRANTS
        }
    assert found == GRANTS


def test_other_grants_are_mended_once(engine: Engine, database_url: str) -> None:
    provide_roles(engine)
    with psycopg.connect(database_url) as connection:
        connection.execute("REVOKE INSERT ON video_history FROM sorafeed_player")
        connection.execute("GRANT DELETE ON video_history TO sorafeed_player")
    assert provide_roles(engine).changes == 2
    assert provide_roles(engine).changes == 0
    with psycopg.connect(database_url) as connection:
        assert _held(connection, Group.PLAYER, "video_history") == "ra"


def test_a_table_without_stated_grants_yet_is_the_engines(
    engine: Engine, database_url: str
) -> None:
    provide_roles(engine)
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE added_later (id integer)")
        assert _held(connection, Group.ENGINE, "added_later") == "rawd"
        assert _held(connection, Group.PLAYER, "added_later") == ""
        assert _held(connection, Group.READER, "added_later") == ""
        connection.rollback()


def test_granting_waits_for_no_transaction(engine: Engine, database_url: str) -> None:
    provide_roles(engine)
    with psycopg.connect(database_url) as owner:
        owner.execute("REVOKE INSERT ON video_history, displays FROM sorafeed_player")
    with engine.begin() as playing:
        playing.execute(text("LOCK TABLE video_history, displays IN ROW EXCLUSIVE MODE"))
        assert provide_roles(engine).changes == 2


@contextmanager
def _renamed(postgres: EmbeddedPostgres, group: Group) -> Iterator[None]:
    """Let a group be missing: roles belong to the whole server, and cannot be dropped here."""
    change = sql.SQL("ALTER ROLE {} RENAME TO {}")
    names = sql.Identifier(group), sql.Identifier("set_aside")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(change.format(*names))
        try:
            yield
        finally:
            connection.execute(change.format(*reversed(names)))


def test_a_login_that_may_not_create_roles_says_what_is_missing(
    postgres: EmbeddedPostgres, engine: Engine, database_url: str
) -> None:
    provide_roles(engine)
    member = as_member(database_url, Group.MIGRATOR)
    _let_own(postgres, "managed")
    managed = create_database_engine(
        make_url(member).set(database="managed").render_as_string(hide_password=False), Settings()
    )
    with _renamed(postgres, Group.READER):
        migrate(managed)
        roles = provide_roles(managed)
        with managed.connect() as connection:
            allowed = connection.scalar(
                text("SELECT has_table_privilege('sorafeed_player', 'displays', 'INSERT')")
            )
    managed.dispose()
    assert roles.created == ()
    assert any("CREATE ROLE sorafeed_reader NOLOGIN" in problem for problem in roles.problems)
    assert allowed


def _let_own(postgres: EmbeddedPostgres, name: str) -> None:
    """A database as deploy/postgres/databases.sql makes it: the migrator owns it."""
    postgres.create_database(name)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO sorafeed_migrator").format(sql.Identifier(name))
        )


def test_one_group_owns_the_tables_of_all_who_migrate(
    postgres: EmbeddedPostgres, database_url: str
) -> None:
    member = as_member(database_url, Group.MIGRATOR)
    _let_own(postgres, "owned_by_migrator")
    address = make_url(member).set(database="owned_by_migrator")
    engine = create_database_engine(address.render_as_string(hide_password=False), Settings())
    before, _ = migrate(engine)
    with engine.connect() as connection:
        owners = connection.scalars(
            text(
                "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm', 'i')"
            )
        ).all()
        who = connection.scalar(text("SELECT current_user"))
    engine.dispose()
    assert before is None
    assert owners == ["sorafeed_migrator"]
    assert who == "test_sorafeed_migrator"


def _refused(address: str, *statements: str) -> None:
    for statement in statements:
        with (
            psycopg.connect(address) as connection,
            pytest.raises(InsufficientPrivilege, match=r"permission denied|must be owner"),
        ):
            connection.execute(statement.encode())


def test_a_reader_reads_everything_but_secrets(database_url: str) -> None:
    address = as_member(database_url, Group.READER)
    with psycopg.connect(address) as connection:
        for table, allowed in GRANTS.items():
            if allowed.reader:
                connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
        connection.execute("SELECT name, role, revoked_at FROM api_tokens")
    _refused(
        address,
        "SELECT token_hash FROM api_tokens",
        "SELECT answer FROM idempotency_keys",
        "UPDATE displays SET name = 'x'",
        "INSERT INTO display_changes (display_id) VALUES ('AAAAAA')",
        "DELETE FROM video_history",
        "CREATE TABLE mine (id integer)",
    )


def test_a_scanner_writes_posts_in_both_shapes_and_reads_nothing_else(
    engine: Engine, database_url: str
) -> None:
    address = as_member(database_url, Group.SCANNER)
    with psycopg.connect(f"{address}?{OPTIONS}") as connection:
        # At each start it creates what is missing, and alters its tables.
        connection.execute(TABLES)
        connection.execute("ALTER TABLE sora_posts ADD COLUMN IF NOT EXISTS seen integer")
        scan(connection, [OldPost("s_1", "ann"), OldPost("s_2", "ben")])
    with psycopg.connect(address) as connection:
        connection.execute(
            "INSERT INTO sora_posts (id, text, posted_at) VALUES ('p_1', 'a cat', now())"
        )
        connection.execute("UPDATE sora_posts SET text = 'a dog' WHERE id = 's_1'")
        connection.execute("DELETE FROM sora_posts WHERE id = 's_2'")
    with engine.connect() as connection_:
        ids = connection_.scalars(text("SELECT id FROM sora_posts ORDER BY id")).all()
        changes = connection_.scalar(text("SELECT count(*) FROM catalog_changes"))
    assert ids == ["p_1", "s_1"]
    assert changes == 5
    _refused(
        address,
        "SELECT FROM displays",
        "SELECT FROM api_tokens",
        "SELECT FROM video_history",
        "DELETE FROM catalog_changes",
        "UPDATE video_counts_daily SET count = 0",
        "ALTER TABLE sora_posts ADD COLUMN seen integer",
        "CREATE TABLE mine (id integer)",
    )


def test_the_api_neither_deletes_plays_nor_makes_tokens_nor_writes_posts(database_url: str) -> None:
    _refused(
        as_member(database_url, Group.PLAYER),
        "INSERT INTO sora_posts (id, text, posted_at) VALUES ('p', 'a cat', now())",
        "DELETE FROM video_history",
        "UPDATE video_history SET video_id = 'x'",
        "INSERT INTO api_tokens (role, name, token_hash) VALUES ('admin', 'x', 'x')",
        "UPDATE api_tokens SET revoked_at = NULL",
        "UPDATE flag_versions SET definition = '{}'",
        "DELETE FROM legacy_imports",
        "TRUNCATE displays",
        "ALTER TABLE displays ADD COLUMN x integer",
        "CREATE TABLE mine (id integer)",
    )


def test_the_api_gives_and_revokes_only_tokens_of_displays(
    database_url: str, engine: Engine
) -> None:
    add_display(engine, "MINE01")
    add = "SELECT add_screen_token('MINE01', 'hall', 'x')"
    with psycopg.connect(as_member(database_url, Group.PLAYER)) as connection:
        (token,) = connection.execute(add).fetchone() or (None,)
        revoke = f"SELECT revoke_screen_token('MINE01', '{token}')"
        assert connection.execute(revoke).fetchone() == (True,)
    _refused(as_member(database_url, Group.READER), add, revoke, "SELECT FROM screen_pairings")
    _refused(as_member(database_url, Group.SCANNER), add, revoke)
    with engine.connect() as connection_:
        assert connection_.execute(text("SELECT role FROM api_tokens")).all() == [("display",)]


def test_the_engine_changes_neither_plays_nor_the_schema(database_url: str) -> None:
    _refused(
        as_member(database_url, Group.ENGINE),
        "DELETE FROM video_history",
        "UPDATE rollout_changes SET reason = 'x'",
        "DELETE FROM sora_posts",
        "DROP TABLE displays",
        "ALTER TABLE displays ADD COLUMN x integer",
        "CREATE TABLE mine (id integer)",
    )

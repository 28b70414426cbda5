"""The group roles of a deployment, and what each may do with each table.

The logins that programs use are made by the deployment and are members of a group. `GRANTS` is the
one place that says what a group may do; `state_grants` makes the database say the same.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.storage.postgres.copy import driver_of
from sorafeed_assets.storage.postgres.locks import alone

ROLES_LOCK: Final = 0x50FA_0201
_ATTEMPTS: Final = 100
_PAUSE_SECONDS: Final = 0.2
_BRIEFLY: Final = "SET LOCAL lock_timeout = '100ms'"


class Group(StrEnum):
    """A group role; it cannot log in."""

    READER = "sorafeed_reader"
    """Reads what is stored, without secrets: reports, dashboards."""
    PLAYER = "sorafeed_player"
    """The API: plays, edits, and what follows of them; neither posts, tokens nor deleted plays."""
    ENGINE = "sorafeed_engine"
    """`react`, Dagster's runs, and the commands: everything but the schema."""
    SCANNER = "sorafeed_scanner"
    """Writes posts, in our tables or in those of the old shape, which it owns."""
    MIGRATOR = "sorafeed_migrator"
    """Owns the schema; only `sorafeed migrate` uses it."""


class Allowed(NamedTuple):
    """What the groups may do with a table, in PostgreSQL's letters.

    r reads, a adds rows, w updates them, d deletes them, m maintains (REFRESH, ANALYZE).
    """

    reader: str
    player: str
    engine: str
    scanner: str = ""


# A table that is missing here fails a test.
GRANTS: Final[dict[str, Allowed]] = {
    "alembic_version": Allowed("r", "r", "r", "r"),
    # Posts: the scanner's, or copied from the old system.
    "sora_posts": Allowed("r", "r", "rawm", "rawd"),
    "creators": Allowed("r", "r", "raw", "raw"),
    # The API adds what a count that it begins finds to be excluded.
    "catalog_changes": Allowed("r", "rad", "rad", "a"),
    "blocklist": Allowed("r", "rad", "rad"),
    "counted_blocklist": Allowed("r", "rad", "rad"),
    # Counts: the API counts a term that it is the first to be asked for.
    "catalog_days": Allowed("r", "rawd", "rawd"),
    "search_terms": Allowed("r", "rawd", "rawd"),
    "watched_terms": Allowed("r", "rad", "rad"),
    "count_jobs": Allowed("r", "rawd", "rawd"),
    "count_digests": Allowed("r", "raw", "raw"),
    "video_counts_daily": Allowed("r", "rawd", "rawd"),
    "video_counts_by_search": Allowed("r", "rm", "rm"),
    "video_candidates": Allowed("r", "rad", "rad"),
    "candidate_pools": Allowed("r", "rawd", "rawd"),
    # Displays, their playlists and queues.
    "displays": Allowed("r", "rawd", "rawd"),
    "playlists": Allowed("r", "rawd", "rawd"),
    "playlist_blocks": Allowed("r", "rawd", "rawd"),
    "time_slots": Allowed("r", "rawd", "rawd"),
    "timetables": Allowed("r", "rawd", "rawd"),
    "deletions": Allowed("r", "rad", "rad"),
    "display_remotes": Allowed("r", "rawd", "rawd"),
    "display_tags": Allowed("r", "rad", "rad"),
    "templates": Allowed("r", "rawd", "rawd"),
    "template_blocks": Allowed("r", "rad", "rad"),
    "display_terms": Allowed("r", "rad", "rad"),
    "display_changes": Allowed("r", "rad", "rad"),
    "timeline_builds": Allowed("r", "rad", "rad"),
    "timeline_videos": Allowed("r", "rawd", "rawd"),
    # Plays are never changed or deleted.
    "video_history": Allowed("r", "ra", "ra"),
    "post_durations": Allowed("r", "raw", "r"),
    "play_failures": Allowed("r", "rad", "rad"),
    "display_requests": Allowed("r", "rawd", "rawd"),
    "reactions": Allowed("r", "rawd", "rawd"),
    # What was told to Dagster.
    "lineage_records": Allowed("r", "rad", "rawd"),
    "leases": Allowed("r", "r", "rawd"),
    "figures": Allowed("r", "r", "rawd"),
    "play_hours": Allowed("r", "r", "raw"),
    # Flags and rollouts: what was decided is never changed.
    "flag_versions": Allowed("r", "ra", "ra"),
    "flag_assignments": Allowed("r", "rad", "rad"),
    "rollouts": Allowed("r", "raw", "raw"),
    "rollout_changes": Allowed("r", "ra", "ra"),
    "backups": Allowed("r", "r", "r"),
    # Access: the reader sees all columns but the hashes, see READER_COLUMNS.
    "api_tokens": Allowed("", "r", "raw"),
    # Who may delete a pairing may give a display a token, by `add_screen_token`, and revoke it.
    "screen_pairings": Allowed("", "rad", "rad"),
    "idempotency_keys": Allowed("", "rawd", "rawd"),
    "signing_keys": Allowed("", "rad", "rad"),
    # The old system beside this one.
    "legacy_comparisons": Allowed("r", "r", "rawd"),
    "legacy_cursors": Allowed("r", "r", "rawd"),
    "legacy_imports": Allowed("r", "r", "rawd"),
    "legacy_problems": Allowed("r", "r", "rawd"),
    "legacy_queues": Allowed("r", "r", "rawd"),
    "shadow_comparisons": Allowed("r", "r", "rad"),
}
READER_COLUMNS: Final = {
    "api_tokens": (
        *("id", "role", "display_id", "name", "created_at", "expires_at", "revoked_at"),
    ),
}
"""Tables of which the reader sees only these columns."""

_GROUPS: Final = {
    Group.READER: 0,
    Group.PLAYER: 1,
    Group.ENGINE: 2,
    Group.SCANNER: 3,
}
_LETTERS: Final = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE", "m": "MAINTAIN"}

_MISSING_ROLES: Final = text("""
SELECT name FROM unnest(CAST(:names AS text[])) AS names (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
""")
_ACTING: Final = text("""
SELECT owner FROM (
    SELECT coalesce(
        (SELECT pg_get_userbyid(relowner) FROM pg_class
         WHERE oid = to_regclass('public.alembic_version')),
        (SELECT rolname FROM pg_roles WHERE rolname = :migrator
            AND has_database_privilege(rolname, current_database(), 'CREATE')
            AND has_schema_privilege(rolname, 'public', 'CREATE'))
    ) AS owner
) AS found
WHERE owner <> current_user AND pg_has_role(session_user, owner, 'SET')
""")
_GRANTED: Final = text("""
SELECT c.relname, pg_get_userbyid(a.grantee) AS grantee, a.privilege_type
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables)
    AND a.grantee <> 0 AND pg_get_userbyid(a.grantee) = ANY(:groups)
""")
_TABLES: Final = text("""
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm')
    AND relname = ANY(:tables)
""")
_SCANNER_TABLES: Final = text("""
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('scanner') AND relkind = 'r'
    AND pg_get_userbyid(relowner) <> :scanner
""")
_SCANNER_SCHEMA: Final = text(
    "SELECT FROM pg_namespace WHERE nspname = 'scanner' AND pg_get_userbyid(nspowner) <> :scanner"
)


@dataclass(frozen=True, slots=True)
class Roles:
    """What `provide_roles` did.

    Attributes:
        created: the groups that were missing.
        changes: how many privileges were granted or revoked.
        problems: what could not be done, and who can do it.
    """

    created: tuple[str, ...]
    changes: int
    problems: tuple[str, ...]


def provide_roles(engine: Engine) -> Roles:
    """Create the groups that are missing, where the login may, and state every group's grants.

    A managed database may forbid to create roles: then its administrator creates them once, and
    this only grants.
    """
    problems: list[str] = []
    created: list[str] = []
    with alone(engine, ROLES_LOCK), engine.connect() as connection:
        driver = driver_of(connection)
        names = {"names": [str(group) for group in Group]}
        for name in connection.scalars(_MISSING_ROLES, names).all():
            statement = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
            if _tried(driver, statement):
                created.append(name)
            else:
                problems.append(
                    f"this login may not create roles; ask an administrator for:"
                    f" CREATE ROLE {name} NOLOGIN"
                )
        connection.commit()
        act_as_owner(connection)
        changes = state_grants(connection)
        problems += _hand_over_scanner(connection)
        connection.commit()
        connection.invalidate()
    return Roles(tuple(created), changes, tuple(problems))


def act_as_owner(connection: Connection) -> None:
    """Let the session act as the owner of the schema, if the login is a member of it.

    So one role owns all tables, whichever of its members migrates: in a new database
    `sorafeed_migrator`, where it may create them. The session has to be closed afterwards.
    """
    owner = owner_to_act_as(connection)
    if owner is not None:
        driver_of(connection).execute(sql.SQL("SET ROLE {}").format(sql.Identifier(owner)))


def owner_to_act_as(connection: Connection) -> str | None:
    """The role that owns the schema, or will; None if the login itself does or must."""
    found = connection.scalar(_ACTING, {"migrator": Group.MIGRATOR})
    return None if found is None else str(found)


def restate(connection: Connection) -> None:
    """State the grants of a schema that was just restored, where there are groups."""
    state_grants(connection)
    _hand_over_scanner(connection)


def state_grants(connection: Connection) -> int:
    """Grant what `GRANTS` says to the groups that exist, revoke the rest; returns the changes.

    The caller owns the tables. Nothing is locked that a statement of a player waits for.
    """
    names = {"names": [str(group) for group in Group]}
    missing = set(connection.scalars(_MISSING_ROLES, names))
    groups = [group for group in _GROUPS if group not in missing]
    if not groups:
        return 0
    tables = set(connection.scalars(_TABLES, {"tables": list(GRANTS)}))
    values = {"tables": sorted(tables), "groups": [str(group) for group in groups]}
    granted = {tuple(row) for row in connection.execute(_GRANTED, values)}
    wanted = set(_wanted(tables, groups))
    driver = driver_of(connection)
    for table, group, privilege in sorted(wanted - granted):
        driver.execute(
            sql.SQL("GRANT {} ON public.{} TO {}").format(
                sql.SQL(privilege), sql.Identifier(table), sql.Identifier(group)
            )
        )
    for table, group, privilege in sorted(granted - wanted):
        driver.execute(
            sql.SQL("REVOKE {} ON public.{} FROM {}").format(
                sql.SQL(privilege), sql.Identifier(table), sql.Identifier(group)
            )
        )
    if Group.READER in groups:
        for table in sorted(tables & READER_COLUMNS.keys()):
            driver.execute(
                sql.SQL("GRANT SELECT ({}) ON public.{} TO {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, READER_COLUMNS[table])),
                    sql.Identifier(table),
                    sql.Identifier(Group.READER),
                )
            )
    if Group.ENGINE in groups:
        # Between a migration that adds a table and its grants.
        driver.execute(
            sql.SQL(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
                " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}"
            ).format(sql.Identifier(Group.ENGINE))
        )
    return len(wanted ^ granted)


def _wanted(tables: set[str], groups: list[Group]) -> Iterator[tuple[str, str, str]]:
    for table in tables:
        for group in groups:
            for letter in GRANTS[table][_GROUPS[group]]:
                yield table, str(group), _LETTERS[letter]


def _hand_over_scanner(connection: Connection) -> list[str]:
    """Let the scanner's group own the tables of the old shape, which its program alters."""
    values = {"scanner": Group.SCANNER}
    if connection.scalars(_MISSING_ROLES, {"names": [str(Group.SCANNER)]}).all():
        return []
    scanner = sql.Identifier(Group.SCANNER)
    statements = [
        sql.SQL("ALTER TABLE scanner.{} OWNER TO {}").format(sql.Identifier(name), scanner)
        for name in connection.scalars(_SCANNER_TABLES, values)
    ]
    if connection.execute(_SCANNER_SCHEMA, values).first() is not None:
        # First, because an owner of a table has to be able to create in its schema.
        statements.insert(0, sql.SQL("ALTER SCHEMA scanner OWNER TO {}").format(scanner))
    driver = driver_of(connection)
    if all(_tried(driver, statement) for statement in statements):
        return []
    problem = (
        "the schema scanner is not the scanner's yet; let an administrator make the login that"
        f" migrates a member of {Group.SCANNER}, and migrate again"
    )
    return [problem]


def _tried(driver: psycopg.Connection, statement: sql.Composed) -> bool:
    """Whether a statement was permitted; if not, nothing of it stays.

    It waits briefly for a lock, and again, so that statements do not queue behind it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with driver.transaction():
                driver.execute(_BRIEFLY)
                driver.execute(statement)
        except InsufficientPrivilege:
            return False
        except LockNotAvailable:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            break
    return True

"""Logins of the tests' server, each a member of one group, as a deployment makes them."""

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.roles import Group, provide_roles

_PASSWORD = "test"


def as_member(database_url: str, group: Group) -> str:
    """The address of a database for a login that is only a member of ``group``."""
    name = f"test_{group}"
    engine = create_database_engine(database_url, Settings())
    try:
        provide_roles(engine)
    finally:
        engine.dispose()
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount == 0:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(name), sql.Literal(_PASSWORD), sql.Identifier(group)
                )
            )
    url = make_url(database_url).set(username=name, password=_PASSWORD)
    return url.render_as_string(hide_password=False)

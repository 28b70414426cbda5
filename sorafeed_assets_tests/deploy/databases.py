"""A PostgreSQL server as deploy/ makes it: by the image's arguments, and databases.sql."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from sorafeed_assets.launch.embedded import EmbeddedPostgres, _as_unprivileged, postgres_program
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets_tests.deploy.files import DEPLOY, read_yaml


@dataclass(frozen=True, slots=True)
class Databases:
    """A server with both databases.

    Attributes:
        superuser: the address of the project's database for the superuser.
        secrets: name of a secret of compose.yaml → its value here.
    """

    superuser: str
    secrets: Mapping[str, str]


@contextmanager
def deployed_databases(folder: Path) -> Iterator[Databases]:
    """Run a server with the roles, logins and databases of databases.sql; nothing is migrated."""
    given = read_yaml("compose.yaml")["services"]["postgres"]["environment"]
    server = EmbeddedPostgres(folder)
    server.folder.mkdir(exist_ok=True)
    passwords = {name: f"secret-of-{name}" for name in ("migrate", "work", "api", "dagster")}
    for name, password in {"postgres": "secret", **passwords}.items():
        (folder / f"{name}_password").write_text(password)
    arguments = ["-D", server.data, "-U", given["POSTGRES_USER"],
                 f"--pwfile={folder / 'postgres_password'}"]  # fmt: skip
    subprocess.run(
        [
            *_as_unprivileged(),
            postgres_program("initdb"),
            *arguments,
            *given["POSTGRES_INITDB_ARGS"].split(),
            "--auth=scram-sha-256",
        ],
        check=True,
        capture_output=True,
    )
    server.user = given["POSTGRES_USER"]
    (folder / "password").write_text("secret")
    server.start()
    try:
        script = (DEPLOY / "postgres" / "databases.sql").read_text()
        made = subprocess.run(
            [str(postgres_program("psql")), "--no-psqlrc", server.url("postgres")],
            input=script.replace("/run/secrets", str(folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr

        def address(login: str, database: str) -> str:
            url = make_url(server.url(database)).set(
                username=f"sorafeed_{login}", password=passwords[login]
            )
            return url.render_as_string(hide_password=False)

        yield Databases(
            server.url("sorafeed"),
            {
                "SORAFEED_DATABASE_URL": address("work", "sorafeed"),
                "SORAFEED_DAGSTER_URL": psycopg2_url(address("dagster", "dagster")),
                "migrate_database_url": address("migrate", "sorafeed"),
                "api_database_url": address("api", "sorafeed"),
                "api_dagster_url": psycopg2_url(address("api", "dagster")),
            },
        )
    finally:
        server.stop()

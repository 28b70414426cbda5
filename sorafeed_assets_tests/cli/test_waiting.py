"""`sorafeed migrate --wait` on a host that starts before its database."""

from pathlib import Path

from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets_tests.cli.running import sorafeed, start, wait_until


def test_migrating_waits_for_postgres(tmp_path: Path) -> None:
    server, port, said = EmbeddedPostgres(tmp_path / "postgres"), free_port(), tmp_path / "said"
    server.start(port)
    try:
        ours, dagster = (server.create_database(name) for name in ("sorafeed", "dagster"))
        server.stop()
        variables = {
            "SORAFEED_DATABASE_URL": ours,
            "SORAFEED_DAGSTER_URL": psycopg2_url(dagster),
            "SORAFEED_REDIS_URL": "redis://127.0.0.1:1/0",
            "SORAFEED_DATA_DIR": str(tmp_path / "data"),
        }
        refused = sorafeed("migrate", **variables)
        assert refused.returncode == 1
        assert "PostgreSQL does not answer" in refused.stderr
        migrating = start(said, "migrate", "--wait", "3600", **variables)
        wait_until(lambda: "waiting for PostgreSQL" in said.read_text(), "the first attempt")
        assert migrating.poll() is None
        server.start(port)
        assert migrating.wait(240) == 0
        assert "migrated from empty to" in said.read_text()
    finally:
        server.stop()

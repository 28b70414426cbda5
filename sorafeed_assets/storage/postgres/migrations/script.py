"""Migrations written as SQL files, read beside the revision that applies them."""

from pathlib import Path

from alembic import op


def run_script(name: str) -> None:
    """Execute a file of ``versions/`` as one batch, in the migration's transaction."""
    script = (Path(__file__).parent / "versions" / name).read_text(encoding="utf-8")
    # Straight to psycopg without parameters: ":" and "%" in the script mean themselves.
    connection = op.get_bind().connection.cursor()
    connection.execute(script)

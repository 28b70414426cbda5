"""Building indexes without blocking writers, also after an interrupted build."""

from alembic import op
from sqlalchemy import text

_IS_VALID = text(
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
    " /* null when the index does not exist */"
)
_LOCK_TIMEOUT = text("SELECT current_setting('lock_timeout')")


def create_index_concurrently(name: str, table: str, definition: str, *, using: str) -> None:
    """Build an index without blocking writers; one left INVALID is dropped and built again."""
    with op.get_context().autocommit_block():
        before = op.get_bind().scalar(_LOCK_TIMEOUT)
        # It waits for older transactions, and nothing waits for it.
        op.execute("SET lock_timeout = 0")
        is_valid = op.get_bind().scalar(_IS_VALID, {"name": name})
        if is_valid is False:
            op.execute(f"DROP INDEX CONCURRENTLY {name}")
        if not is_valid:
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} USING {using} ({definition})")
        op.execute(f"SET lock_timeout = '{before}'")

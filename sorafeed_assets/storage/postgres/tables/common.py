"""What the tables share: names of constraints, and columns that many have."""

from typing import Final

from sqlalchemy import Column, DateTime, MetaData, Text, Uuid, func, text

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

# The builtin collation whose case rules `domain.catalog.search.fold` follows.
FOLDED: Final = Text(collation="pg_c_utf8")
MOMENT: Final = DateTime(timezone=True)
# Room in each page, so that a new version of a row needs no new index entries.
UPDATED_OFTEN: Final = {"fillfactor": 70}


def created_at() -> Column[object]:
    """When the row was written."""
    return Column("created_at", MOMENT, nullable=False, server_default=func.now())


def id_column() -> Column[object]:
    """A UUID whose order is the order of creation."""
    return Column("id", Uuid, primary_key=True, server_default=text("uuidv7()"))

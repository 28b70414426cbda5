"""Following the old system, on an old side of its own: a database and an SQLite file."""

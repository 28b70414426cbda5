"""Redis, and the SQL of what is written to it."""

"""The connection, the schema, its migrations, and bulk copying."""

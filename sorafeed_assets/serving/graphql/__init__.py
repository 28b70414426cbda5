"""The GraphQL schema, its limits, and how it is spoken over HTTP."""

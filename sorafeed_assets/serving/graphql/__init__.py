"""The GraphQL API: schema, limits, execution, and GraphQL over HTTP."""

"""What readers get: the GraphQL API, the players' side, the admin page. Knows no Dagster."""

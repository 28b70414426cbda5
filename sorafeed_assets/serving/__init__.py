"""The HTTP server: the GraphQL API, the players' endpoints and the admin pages.

Only code about HTTP belongs here. Reads and changes are in `services`; nothing imports Dagster.
"""

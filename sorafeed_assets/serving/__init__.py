"""The HTTP server: the GraphQL API, the players' endpoints and the admin pages.

Only what speaks HTTP belongs here. What is read and changed is in `services`; Dagster is not known.
"""

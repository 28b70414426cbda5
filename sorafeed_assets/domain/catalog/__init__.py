"""Searches: how a query is parsed, which texts it matches, and finding many phrases in many texts.

The same rule as SQL is `storage.catalog.match_rule`; the two must agree on every text.
"""

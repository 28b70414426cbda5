"""Tokens, roles and rate limits."""

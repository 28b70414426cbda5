"""Counting posts per term and gathering the candidates of each term, in bounded memory.

Which posts are read, and what is stored, belongs to `services.counts`.
"""

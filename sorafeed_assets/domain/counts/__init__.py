"""Counting posts per term and gathering the candidates of each term, in bounded memory.

Which posts are read, and what is stored of them, belongs to `services.counts`.
"""

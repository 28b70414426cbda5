"""SQL of the old system, which is only read, and of what is known about following it.

The rules of what its rows become here belong to `domain.legacy`, except for posts and creators:
these are converted by the old server, in `columns`, so that copying them is a stream of bytes.
"""

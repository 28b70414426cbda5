"""`python -m sorafeed_assets.domain.compile_all`: compiles all that is compiled at its first use.

An image does so when it is built: the types are those of a process that counts.
"""

import numpy as np

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.counting import TermMatcher, join_texts
from sorafeed_assets.domain.counts.pools import PoolGatherer


def compile_all() -> None:
    """Match a text and gather it, so that Numba stores the compiled code in its cache."""
    found, rows = TermMatcher([SearchQuery("cat", ())]).match(*join_texts(["a cat"]))
    column = np.zeros(1, dtype=np.int64)
    PoolGatherer(["cat"], 1).add(
        found,
        rows,
        shapes=column,
        posted_at=column,
        hashes=column,
        ids="a".__getitem__,
    )


if __name__ == "__main__":
    compile_all()

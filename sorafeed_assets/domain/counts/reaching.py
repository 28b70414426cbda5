"""Which posts can enter a pool, as machine code; imported when posts are gathered first."""

import numpy as np

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.catalog.compiled import compiled


@compiled
def reaching(
    numbers: Rows, rows: Rows, shapes: Rows, order: Rows, limits: Rows, kinds: int
) -> Rows:
    """Which of the (number of a term, row) pairs are within the limit of their pool."""
    good = np.empty(len(rows), dtype=np.int64)
    size = 0
    for pair in range(len(rows)):
        row = rows[pair]
        good[size] = pair
        size += order[row] <= limits[numbers[pair] * kinds + shapes[row]]
    return good[:size]

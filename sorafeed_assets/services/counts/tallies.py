"""Matches counted by query and shape, and the rows of daily counts that they make."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import numpy as np

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.counting import SHAPES, counts_by_format

CountRow = tuple[str, str, date, int]
"""A row of the daily counts: term, format, day, count."""


def column(values: Sequence[int]) -> Rows:
    """Numbers as an array of int64."""
    return np.array(values, dtype=np.int64)


def tally_of(kinds: Sequence[object], found: Rows, rows: Rows, shapes: Rows) -> Rows:
    """The number of (kind, row) pairs for each kind, a query or a day, and shape."""
    counted = np.bincount(found * len(SHAPES) + shapes[rows], minlength=len(kinds) * len(SHAPES))
    return counted.reshape(-1, len(SHAPES)).astype(np.int64)


def count_rows(queries: Sequence[SearchQuery], day: date, tally: Any) -> Iterator[CountRow]:
    """The rows of a tally of shape (queries, SHAPES), without zeros."""
    for query, by_shape in zip(queries, tally.tolist(), strict=True):
        for format_, count in counts_by_format(by_shape).items():
            if count:
                yield query.term, format_.value, day, count

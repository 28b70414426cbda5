"""Which side of a row wins when the old system and this one have both been in use."""

from enum import Enum


class Merge(Enum):
    """What an import does with a row."""

    SAME = "both sides have it already"
    TAKE_OLD = "only the old side changed"
    KEEP_OURS = "only our side changed"
    CONFLICT = "both sides changed"


def merge(base: str | None, old: str, ours: str | None) -> Merge:
    """Decide about a row of the old side.

    Args:
        base: the digest that both sides had at the last import; None if it was never imported.
        old: the digest of the old side now.
        ours: the digest of our side now; None when we have no such row.
    """
    if old == ours:
        return Merge.SAME
    if base is None and ours is None:
        return Merge.TAKE_OLD
    if base == ours:
        return Merge.TAKE_OLD
    return Merge.KEEP_OURS if base == old else Merge.CONFLICT

"""Slots for work that only a few may do at once, in all and by each token."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.serving.http.errors import TooManyCallsError


class Slots:
    """Slots of one event loop.

    Args:
        what: the work, in the plural, for the errors.
        most: how many slots exist.
        most_each: how many of them one token may have; fewer than all, so that others get some.
    """

    def __init__(self, what: str, most: int, most_each: int) -> None:
        self._what = what
        self._most = most
        self._most_each = most_each
        self._taken: Counter[UUID] = Counter()

    def __len__(self) -> int:
        return self._taken.total()

    def take(self, token_id: UUID) -> Callable[[], None]:
        """Take a slot; returns what frees it.

        Raises:
            TooManyCallsError: the token has as many as it may.
            UnavailableError: none is free.
        """
        for taken, most, whose, error in (
            (self._taken[token_id], self._most_each, " of this token", TooManyCallsError),
            (len(self), self._most, "", UnavailableError),
        ):
            if taken >= most:
                raise error(
                    f"{most} {self._what}{whose} are running; try again when one has finished"
                )
        self._taken[token_id] += 1

        def free() -> None:
            self._taken[token_id] -= 1
            # Otherwise every token that ever had a slot would stay in memory.
            self._taken += Counter()

        return free

"""A streaming replica: how far it has replayed the primary's log, and what may be read from it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, text

_KEPT: Final = 600

# The insert position, so that a commit that is not flushed yet is behind it, too.
_WRITTEN: Final = text("SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS bigint)")
_REPLAYED: Final = text("""
SELECT pg_is_in_recovery() AS is_replica,
    CAST(coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0' AS bigint) AS position
""")


class _Sample(NamedTuple):
    """A moment, and the primary's position then."""

    moment: float
    position: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last look: what the replica has replayed, and since when that was all there was."""

    position: int
    complete_until: float


class Replica:
    """Says whether a replica may answer a read.

    Positions of the primary are sampled with their moments. What the replica has replayed
    is compared with them: it has everything that was committed before the moment of the newest
    sample that it has passed. So its lag is known without comparing two clocks, and also while it
    receives nothing.

    Args:
        primary: the database that is written.
        engine: the replica.
        most_lag: seconds of lag up to which it is used.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        primary: Engine,
        engine: Engine,
        most_lag: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self._primary = primary
        self._most_lag = most_lag
        self._clock = clock
        self._unknown_since = -inf
        self._samples: deque[_Sample] = deque(maxlen=_KEPT)
        self._seen: _Seen | None = None

    @property
    def lag(self) -> float:
        """For how many seconds it may lack what was committed; infinite before the first look."""
        seen = self._seen
        return self._clock() - (self._unknown_since if seen is None else seen.complete_until)

    def look(self) -> None:
        """Compare the two once; call it every second."""
        moment = self._clock()
        with self._primary.connect() as connection:
            self._samples.append(_Sample(moment, written_position(connection)))
        try:
            with self.engine.connect() as connection:
                found = connection.execute(_REPLAYED).one()
        except BaseException:
            self.distrust()
            raise
        if not found.is_replica:
            # It was promoted, and no longer follows the primary.
            self.distrust()
            return
        passed = [sample for sample in self._samples if sample.position <= found.position]
        if passed:
            self._seen = _Seen(found.position, passed[-1].moment)
            while self._samples[0].moment < passed[-1].moment:
                self._samples.popleft()

    def distrust(self) -> None:
        """Let nothing be read from it until it has been looked at again."""
        if self._seen is not None:
            self._unknown_since = self._seen.complete_until
        self._seen = None

    def may_answer(self, after: int | None = None) -> bool:
        """Whether it may answer a read that has to see the primary's position ``after``."""
        seen = self._seen
        if seen is None or self.lag > self._most_lag:
            return False
        return after is None or seen.position >= after


def written_position(connection: Connection) -> int:
    """The primary's position: a replica that has replayed it has all commits until now."""
    return int(connection.scalar(_WRITTEN) or 0)

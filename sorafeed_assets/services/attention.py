"""What is wrong with displays, in words, and how bad it is: for the pages and `sorafeed status`.

Not here: what is wrong with the system as a whole (`launch.attention`).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

from sqlalchemy import Engine

from sorafeed_assets.domain.timelines.audit import STAYS
from sorafeed_assets.domain.wording import no_post_matches, too_few_posts_match
from sorafeed_assets.services.flags import FlagValues
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.records import DisplayRecord
from sorafeed_assets.services.timelines.driving import Driver, driver_of
from sorafeed_assets.services.timelines.queues import stale_displays
from sorafeed_assets.services.timelines.repeats import RepeatedSearches
from sorafeed_assets.storage.cache.snapshots import displays_behind
from sorafeed_assets.storage.rollouts.players import recent_failures

_LOW: Final = 3
# Fewer may be the videos' fault.
_MANY_FAILURES: Final = 3
_FAILURES_WITHIN: Final = timedelta(hours=1)
# Settling writes the snapshot right after the plan.
_BEHIND_AFTER: Final = timedelta(seconds=10)
_BLOCK_FIELD: Final = re.compile(r"blocks\[(\d+)\]\.search_term", re.ASCII)
_FIELDS: Final[Mapping[str, str]] = {
    "blocks": "its list of blocks",
    "block_order": "the order of its blocks",
}


class Severity(IntEnum):
    """How bad a display's state is, the worst first."""

    BROKEN = 0
    """It cannot be planned, has nothing to play, or its player cannot show videos."""
    DEGRADED = 1
    """It plays, but not what it should."""
    OFFLINE = 2
    """Its player was online before and is gone, although it should play."""
    NONE = 3


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a display beside its record.

    Attributes:
        is_stale: its plan does not follow its playlist.
        is_behind: its snapshot in Redis is older than its plan.
        failures: how many videos its player could not show in the last hour.
        repeated: the searches that match fewer posts than their blocks play.
        driver: which system drives it.
    """

    is_stale: bool = False
    is_behind: bool = False
    failures: int = 0
    repeated: Sequence[str] = ()
    driver: Driver = Driver.NEW


class Attention(NamedTuple):
    """Why a display needs attention: sentences, the worst first, and how bad the worst is.

    ``offline_since`` is when the player of an offline display was last seen, if it should play.
    """

    severity: Severity
    problems: tuple[str, ...]
    offline_since: datetime | None


def read_known(
    engine: Engine,
    records: Mapping[str, DisplayRecord],
    flags: FlagValues,
    repeats: RepeatedSearches,
    codes: Collection[str] | None = None,
) -> dict[str, Known]:
    """What is known of these displays; ``codes`` are theirs, or None for all displays."""
    stale = stale_displays(engine, codes)
    with engine.connect() as connection:
        failures = recent_failures(connection, codes, _FAILURES_WITHIN)
        behind = displays_behind(connection, codes, _BEHIND_AFTER)
        builds = {n: r.active_build_id for n, r in records.items() if r.active_build_id is not None}
        repeated = repeats.of_builds(connection, builds)
    return {
        name: Known(
            name in stale,
            name in behind,
            failures.get(name, 0),
            repeated.get(name, ()),
            driver_of(flags, name),
        )
        for name in records
    }


def read_attention(engine: Engine, flags: FlagValues) -> dict[str, Attention]:
    """Why each display needs attention, by code."""
    records = Queries(engine).displays()
    known = read_known(engine, records, flags, RepeatedSearches())
    return {name: attention_of(record, known[name]) for name, record in records.items()}


def attention_of(record: DisplayRecord, known: Known) -> Attention:
    """Why a display needs attention; nothing is wrong with what the old system drives."""
    found = [] if known.driver is Driver.OLD else _problems(record, known)
    found.sort(key=lambda each: each[0])
    severity = found[0][0] if found else Severity.NONE
    offline_since = None
    is_missed = record.status != "online" and record.playback_state != "idle"
    if known.driver is Driver.NEW and is_missed and record.last_ping:
        offline_since = record.last_ping
        severity = min(severity, Severity.OFFLINE)
    return Attention(severity, tuple(text for _, text in found), offline_since)


def _problems(record: DisplayRecord, known: Known) -> list[tuple[Severity, str]]:
    broken, degraded = Severity.BROKEN, Severity.DEGRADED
    problems: list[tuple[Severity, str]] = []
    meanwhile = "it keeps playing its last plan" if record.queued else "it has nothing to play"
    if record.active_playlist_id is None:
        problems.append((degraded, "It has no playlist yet."))
    elif record.plan_problem is not None:
        why = _in_plain_words(record.plan_problem)
        problems.append((broken, f"Its playlist cannot be planned, so {meanwhile}: {why}."))
    elif known.is_stale:
        text = f"Its playlist has changed and is not planned yet; {meanwhile}."
        problems.append((degraded, text))
    elif record.queued == 0:
        problems.append((broken, "It has nothing to play."))
    elif record.queued < _LOW:
        one = "Only 1 video is queued."
        text = one if record.queued == 1 else f"Only {record.queued} videos are queued."
        problems.append((degraded, text))
    if known.failures >= _MANY_FAILURES:
        text = f"Its player could not show {known.failures} videos in the last hour."
        problems.append((broken, text))
    elif known.failures:
        videos = "a video" if known.failures == 1 else f"{known.failures} videos"
        problems.append((degraded, f"Its player could not show {videos} in the last hour."))
    if known.is_behind:
        problems.append((degraded, "Its snapshot in Redis is older than its plan."))
    problems += [(degraded, no_post_matches(search)) for search in record.dry_searches or []]
    problems += [(degraded, too_few_posts_match(search)) for search in known.repeated]
    return problems


def _in_plain_words(problem: str) -> str:
    """Why a plan failed, without field names."""
    problem = problem.removesuffix(STAYS)
    field, colon, rest = problem.partition(": ")
    if not colon:
        return problem
    block = _BLOCK_FIELD.fullmatch(field)
    if block is not None:
        return f"the search of block {int(block[1]) + 1} {rest}"
    return f"{_FIELDS[field]} {rest}" if field in _FIELDS else problem

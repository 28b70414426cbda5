"""Comparing counts: the old way's query on the old catalogue against the stored counts.

Both sides count the posts indexed before the follow's cursor, all of which are copied, without the
catalog days whose changes are not counted yet. Where they differ, the posts of some differing days
are compared one by one, and each has to be explained by a rule.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, parse_query
from sorafeed_assets.domain.errors import TimedOutError
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.outcome import Finding, Reason, Rule, conclude, not_compared
from sorafeed_assets.domain.shadow.posts import Post, why_counted_once
from sorafeed_assets.services.legacy.catalog import POSTS
from sorafeed_assets.storage.legacy.posts import read_cursors
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.shadow import comparisons as stored
from sorafeed_assets.storage.shadow import state
from sorafeed_assets.storage.shadow.comparisons import Compared
from sorafeed_assets.storage.shadow.old_way import OldWay

# Of a difference this many days are looked into, and of each this many posts.
_DAYS: Final = 5
_POSTS: Final = 20_000


@dataclass(frozen=True, slots=True)
class _Here:
    """Our side at one moment.

    Attributes:
        until: the posts indexed before it are counted on both sides.
        without: days that are left out, as their changes are not counted yet.
        by_day: day → the stored count, where it is not 0.
        shown: the total that readers get.
        cost: what reading it took.
    """

    until: datetime
    without: tuple[date, ...]
    by_day: Mapping[date, int]
    shown: int
    cost: Cost


def terms(engine: Engine) -> list[str]:
    """The terms that can be compared."""
    with engine.connect() as connection:
        return state.counted_terms(connection)


def compare_count(engine: Engine, old: OldWay, term: str, format_: Format) -> Compared:
    """Compare one count. No transaction of ours is open while the old side is read."""
    query = parse_query(term)
    here = _here(engine, query, format_)
    if isinstance(here, Finding):
        return Compared(stored.COUNT, term, here, format_.value)
    old.cost = Cost(0.0, 0)
    try:
        there = old.count_on_days(query, format_, here.until, here.without)
    except TimedOutError as error:
        finding = not_compared(str(error), Rule.MADE_UP_COUNT)
        return Compared(stored.COUNT, term, finding, format_.value, our_cost=here.cost)
    old_cost = old.cost
    total = sum(here.by_day.values())
    figures = {
        "there": there,
        "here": total,
        "shown": here.shown,
        "until": here.until.isoformat(),
    }
    finding = conclude(())
    if there != total:
        finding = _explain(engine, old, query, format_, here, f"{there} there, {total} here")
    return Compared(stored.COUNT, term, finding, format_.value, figures, old_cost, here.cost)


def _here(
    engine: Engine, query: SearchQuery, format_: Format, until: datetime | None = None
) -> _Here | Finding:
    """Our side up to the cursor or ``until``, or why it cannot be compared."""
    with snapshot(engine) as connection:
        with state.metered(connection) as meter:
            shown = state.shown_total(connection, query.term, format_)
        cost = meter.cost
        cursor = read_cursors(connection).get(POSTS)
        if cursor is None or cursor.indexed_at is None or not cursor.is_complete:
            return not_compared("the catalogue is not copied yet")
        if shown is None:
            return not_compared("the term is not counted yet")
        until, without = until or cursor.indexed_at, tuple(state.pending_days(connection))
        by_day = state.counts_by_day(connection, query, format_, until, without)
    return _Here(until, without, by_day, shown, cost)


def _explain(
    engine: Engine, old: OldWay, query: SearchQuery, format_: Format, here: _Here, differs: str
) -> Finding:
    """Why the counts differ, from the posts of the first days that do."""
    try:
        there = old.count_by_day(query, format_, here.until, here.without)
        differing = sorted(
            day
            for day in here.by_day.keys() | there.keys()
            if here.by_day.get(day, 0) != there.get(day, 0)
        )
        reasons = [
            reason
            for day in differing[:_DAYS]
            for reason in _day(engine, old, query, format_, day, here)
        ]
    except TimedOutError:
        reasons = [Reason(None, f"{differs}; which posts could not be had in time")]
    # A late post may have been copied and counted in between.
    now = _here(engine, query, format_, here.until)
    if isinstance(now, Finding) or any(
        now.by_day.get(day) != count for day, count in here.by_day.items()
    ):
        return not_compared("the counts changed while they were compared")
    return conclude(reasons or [Reason(None, differs)])


def _day(
    engine: Engine, old: OldWay, query: SearchQuery, format_: Format, day: date, here: _Here
) -> Iterator[Reason]:
    count = here.by_day.get(day, 0)
    theirs = set(old.ids_of_day(query, format_, day, here.until, _POSTS))
    with engine.connect() as connection:
        mine = set(state.ids_of_day(connection, query, format_, day, here.until, _POSTS))
    if count != len(mine) and len(mine) < _POSTS:
        yield Reason(None, f"{day}: {count} counted here, where {len(mine)} posts match")
    if max(len(mine), len(theirs)) >= _POSTS:
        yield Reason(None, f"{day}: {len(theirs)} posts or more there, {len(mine)} here")
        return
    differing = mine ^ theirs
    there = old.rows(differing)
    with engine.connect() as connection:
        ours = state.rows(connection, differing)
    for post_id in sorted(differing):
        post = Post(post_id, there.get(post_id), ours.get(post_id))
        side = "here" if post_id in mine else "there"
        yield Reason(why_counted_once(query, post), f"{day}: {post_id} is counted only {side}")

"""Comparing counts: the old way's query on the old catalogue against the stored counts.

Both sides count whole catalog days: those before the day of the follow's cursor, without the days
whose changes are not counted yet. Where they differ, the posts of some differing days are compared
one by one, and each has to be explained by a rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, Engine

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
class _Days:
    """The days that both sides count: those before ``until``, but ``without`` some."""

    until: date
    without: tuple[date, ...]


def terms(engine: Engine) -> list[str]:
    """The terms that can be compared."""
    with engine.connect() as connection:
        return state.counted_terms(connection)


def compare_count(engine: Engine, old: OldWay, term: str, format_: Format) -> Compared:
    """Compare one count."""
    query = parse_query(term)
    with snapshot(engine) as connection:
        with state.metered(connection) as meter:
            shown = state.shown_total(connection, term, format_)
        our_cost = meter.cost
        days = _days(connection)
        if days is None or shown is None:
            why = "no day is copied yet" if days is None else "the term is not counted yet"
            return _compared(term, format_, not_compared(why))
        here = state.counts_by_day(connection, term, format_, days.until, days.without)
        old.cost = Cost(0.0, 0)
        try:
            there = old.count_on_days(query, format_, days.until, days.without)
        except TimedOutError as error:
            finding = not_compared(str(error), Rule.MADE_UP_COUNT)
            return _compared(term, format_, finding, our_cost=our_cost)
        old_cost = old.cost
        total = sum(here.values())
        try:
            reasons = [] if there == total else _differences(connection, old, query, format_, days)
        except TimedOutError:
            reasons = [Reason(None, f"{there} there, {total} here; which posts took too long")]
    if there != total and not reasons:
        reasons = [Reason(None, f"{there} there, {total} here")]
    figures = {"there": there, "here": total, "shown": shown, "until": days.until.isoformat()}
    return Compared(
        stored.COUNT, term, conclude(reasons), format_.value, figures, old_cost, our_cost
    )


def _compared(
    term: str, format_: Format, finding: Finding, our_cost: Cost | None = None
) -> Compared:
    return Compared(stored.COUNT, term, finding, format_.value, our_cost=our_cost)


def _days(connection: Connection) -> _Days | None:
    cursor = read_cursors(connection).get(POSTS)
    if cursor is None or cursor.indexed_at is None or not cursor.is_complete:
        return None
    return _Days(cursor.indexed_at.date(), tuple(state.pending_days(connection)))


def _differences(
    connection: Connection, old: OldWay, query: SearchQuery, format_: Format, days: _Days
) -> list[Reason]:
    """Why the counts differ, from the posts of the first days that do."""
    here = state.counts_by_day(connection, query.term, format_, days.until, days.without)
    there = old.count_by_day(query, format_, days.until, days.without)
    differing = sorted(
        day for day in here.keys() | there.keys() if here.get(day, 0) != there.get(day, 0)
    )
    reasons: list[Reason] = []
    for day in differing[:_DAYS]:
        reasons += _day(connection, old, query, format_, day, here.get(day, 0))
    return reasons


def _day(
    connection: Connection, old: OldWay, query: SearchQuery, format_: Format, day: date, count: int
) -> Iterator[Reason]:
    mine = set(state.ids_of_day(connection, query, format_, day, _POSTS))
    theirs = set(old.ids_of_day(query, format_, day, _POSTS))
    if count != len(mine) and len(mine) < _POSTS:
        yield Reason(None, f"{day}: {count} counted here, where {len(mine)} posts match")
    if max(len(mine), len(theirs)) >= _POSTS:
        yield Reason(None, f"{day}: {len(theirs)} posts or more there, {len(mine)} here")
        return
    differing = mine ^ theirs
    here, there = state.rows(connection, differing), old.rows(differing)
    for post_id in sorted(differing):
        post = Post(post_id, there.get(post_id), here.get(post_id))
        side = "here" if post_id in mine else "there"
        yield Reason(why_counted_once(query, post), f"{day}: {post_id} is counted only {side}")

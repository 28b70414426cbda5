"""Query plans on 200,000 posts: frequent queries use their indexes, and scan no whole table."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.counts.counting import SHAPES
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage import lists as wall
from sorafeed_assets.storage.cache.snapshots import timeline_snapshots
from sorafeed_assets.storage.catalog import stream as post_stream
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters
from sorafeed_assets.storage.catalog.matches import Match, MatchQuery, read_pools, stale_matches
from sorafeed_assets.storage.catalog.pages import read_among, read_page
from sorafeed_assets.storage.catalog.stream import stream_matches
from sorafeed_assets.storage.display_json import Field
from sorafeed_assets.storage.figures import read_minutes
from sorafeed_assets.storage.playlists.changes import note_plans_with, note_users_of
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.rollouts.signals import read_signals
from sorafeed_assets.storage.timelines.advance import load_free_heads, load_heads, load_plays
from sorafeed_assets.storage.timelines.history import plays_of
from sorafeed_assets.storage.timelines.last_plays import last_plays, recent_plays
from sorafeed_assets.storage.timelines.queues import load_depths, wrong_formats
from sorafeed_assets.storage.timelines.reads import load_queues
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.statements import Plan, plans_of
from sorafeed_assets_tests.storage.large_catalogue import (
    FREQUENT,
    MEDIUM,
    RARE,
    fill_catalogue,
    fill_wall,
)

DISPLAY: Final = "D00042"

SEARCH: Final = "sora_posts_search_idx"
ORDERED: Final = {
    FetchMode.NEWEST: "sora_posts_posted_at_idx",
    FetchMode.RANDOM: "sora_posts_id_hash_idx",
}
POOLED: Final = {
    FetchMode.NEWEST: "video_candidates_newest_idx",
    FetchMode.RANDOM: "video_candidates_random_idx",
}
QUEUE: Final = {
    "timeline_videos_display_id_queue_slot_key",
    "timeline_videos_display_id_loop_iteration_timeline_position_key",
}
LARGE: Final = frozenset({"sora_posts", "video_candidates", "timeline_videos", "video_history"})


@pytest.fixture(scope="module")
def catalogue(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Engine]:
    """200,000 posts, with displays, pools and plays; read-only."""
    engine = create_database_engine(
        postgres.create_database("query_plans", template_database), Settings()
    )
    fill_catalogue(engine)
    yield engine
    engine.dispose()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as driver:
        driver.execute("DROP DATABASE query_plans WITH (FORCE)")


def _is_examined(statement: str) -> bool:
    # The number of posts is read from the planner's statistics.
    return statement.lstrip().startswith(("SELECT", "WITH")) and "reltuples" not in statement


def examine(engine: Engine, *reads: Callable[[Connection], object]) -> list[Plan]:
    """The plan of every statement that ``reads`` run; asserts that none scans a large table."""
    with engine.connect() as connection, plans_of(connection, _is_examined) as plans:
        for read in reads:
            read(connection)
    assert plans
    for plan in plans:
        assert not plan.read_whole & LARGE, plan
    return plans


def ask(term: str, mode: FetchMode, format_: Format = Format.MIXED) -> MatchQuery:
    return MatchQuery(parse_query(term), format_, mode)


def read_two_pages(query: MatchQuery, size: int) -> Callable[[Connection], object]:
    """A first page and the one after it, both full."""

    def read(connection: Connection) -> None:
        first = read_page(connection, query, size)
        second = read_page(connection, query, size, first[-1])
        assert (len(first), len(second)) == (size, size)

    return read


def test_the_catalogue_is_as_described(catalogue: Engine) -> None:
    [row] = run(
        catalogue,
        "SELECT count(*) AS posts, count(DISTINCT catalog_day(indexed_at)) AS days,"
        " avg(length(text)) AS length, count(DISTINCT size_class) AS shapes FROM sora_posts",
    )
    assert (row.posts, row.days, row.shapes) == (200_000, 26, 3)
    assert 160 < row.length < 240


@pytest.mark.parametrize(("term", "matching"), [(RARE, 20), (MEDIUM, 2_000)])
def test_a_term_is_counted_by_its_trigrams(catalogue: Engine, term: str, matching: int) -> None:
    query = parse_query(f"{term} -unheard")
    matches = text(f"SELECT id FROM sora_posts WHERE {MATCHES}")
    values = match_parameters(query)
    [plan] = examine(catalogue, lambda c: c.execute(matches, values))
    assert plan.indexes == {SEARCH}
    with catalogue.connect() as connection:
        chunks = list(stream_matches(connection, query))
        expected = Counter(
            (row.day, row.size_class)
            for row in connection.execute(
                text(
                    "SELECT catalog_day(indexed_at) AS day, size_class FROM sora_posts"
                    f" WHERE {MATCHES}"
                ),
                values,
            )
        )
    found: Counter[tuple[date, str]] = Counter()
    for chunk in chunks:
        days, numbers = chunk.days()
        for number, shape in zip(numbers.tolist(), chunk.shapes.tolist(), strict=True):
            found[days[number], SHAPES[shape].value] += 1
    assert found == expected
    assert found.total() == matching


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize("format_", Format)
@pytest.mark.parametrize(("term", "size"), [(FREQUENT, 20), (FREQUENT, 200)])
def test_pages_of_many_matches_are_walked(
    catalogue: Engine, mode: FetchMode, format_: Format, term: str, size: int
) -> None:
    for plan in examine(catalogue, read_two_pages(ask(term, mode, format_), size)):
        assert plan.indexes == {ORDERED[mode]}
        assert not plan.sorted_tables


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize(("term", "size"), [(RARE, 8), (MEDIUM, 950)])
def test_pages_of_few_matches_are_found(
    catalogue: Engine, mode: FetchMode, term: str, size: int
) -> None:
    plans = examine(catalogue, read_two_pages(ask(term, mode), size))
    searches = [plan for plan in plans if SEARCH in plan.indexes]
    assert len(searches) == 2
    for search in searches:
        assert "~~*" in search.index_conditions[SEARCH]
        assert "@>" not in search.index_conditions[SEARCH]
    for look in plans:
        assert look in searches or (look.indexes <= {ORDERED[mode]} and not look.sorted_tables)


@pytest.mark.parametrize("mode", FetchMode)
def test_pages_of_some_matches_are_found_in_slices(catalogue: Engine, mode: FetchMode) -> None:
    plans = examine(catalogue, read_two_pages(ask(MEDIUM, mode), 300))
    searches = [plan for plan in plans if SEARCH in plan.indexes]
    assert len(searches) >= 2
    assert all("~~*" in search.index_conditions[SEARCH] for search in searches)
    # The planner may omit the slice when it covers nearly all rows.
    assert any("@>" in search.index_conditions[SEARCH] for search in searches)


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize("format_", Format)
def test_pages_found_in_slices_are_those_of_a_sort(
    catalogue: Engine, mode: FetchMode, format_: Format
) -> None:
    query = ask(MEDIUM, mode, format_)
    pages: list[Match] = []
    with catalogue.connect() as connection:
        for size in (150, 300, 90, 2_000):
            page = read_page(connection, query, size, pages[-1] if pages else None)
            pages += page
        assert len(page) < 2_000
    by = {FetchMode.NEWEST: "posted_at DESC, id DESC", FetchMode.RANDOM: "id_hash, id"}[mode]
    wanted = run(
        catalogue,
        "SELECT id FROM sora_posts WHERE text ILIKE :phrase"
        f" AND (:format = 'mixed' OR size_class = :format) ORDER BY {by}",
        phrase=f"%{MEDIUM}%",
        format=format_,
    )
    assert [match.post_id for match in pages] == [row.id for row in wanted]


@pytest.mark.parametrize("mode", FetchMode)
def test_pools_are_read_by_term(catalogue: Engine, mode: FetchMode) -> None:
    asked = [ask(term, mode, format_) for term in (RARE, FREQUENT) for format_ in Format]
    [plan] = examine(catalogue, lambda c: read_pools(c, asked, 100))
    assert POOLED[mode] in plan.indexes
    assert "video_counts_daily" not in plan.read_whole


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize("term", [RARE, FREQUENT])
def test_picks_are_looked_up_by_id(catalogue: Engine, mode: FetchMode, term: str) -> None:
    ids = [row.id for row in run(catalogue, "SELECT id FROM sora_posts ORDER BY id LIMIT 300")]
    picks = [(ask(term, mode, format_), post_id) for format_ in Format for post_id in ids]
    formats = [(number, post_id, "wide") for number, post_id in enumerate(ids)]
    # A few matches may be found before many ids are.
    [among] = examine(catalogue, lambda c: read_among(c, ask(term, mode), ids))
    assert (SEARCH if term == RARE else "sora_posts_pkey") in among.indexes
    plans = examine(
        catalogue,
        lambda c: stale_matches(c, picks),
        lambda c: wrong_formats(c, formats),
        lambda c: wall.load_posts(c, ids),
    )
    for plan in plans:
        assert "sora_posts_pkey" in plan.indexes


def test_a_catalog_day_is_a_range(catalogue: Engine) -> None:
    first, end = post_stream.day_bounds(date(2026, 1, 13))
    copy = post_stream._DAY.format(first=sql.Literal(first), end=sql.Literal(end)).as_string()
    query = copy[copy.index("(") + 1 : copy.rindex(") TO STDOUT")]
    [plan] = examine(catalogue, lambda c: c.exec_driver_sql(query))
    assert plan.indexes == {"sora_posts_indexed_at_idx"}


def test_queues_are_read_by_display(catalogue: Engine) -> None:
    head = run(
        catalogue, "SELECT current_timeline_video_id FROM displays WHERE id = :id", id=DISPLAY
    )[0][0]
    plans = examine(
        catalogue,
        lambda c: load_queues(c, [DISPLAY]),
        lambda c: load_heads(c, [DISPLAY], 10),
        lambda c: load_free_heads(c, [DISPLAY], [head], 10),
        lambda c: timeline_snapshots(c, [DISPLAY]),
        lambda c: wall.load_displays(c, [DISPLAY]),
        lambda c: wall.load_displays(c),
        lambda c: load_depths(c, 5),
    )
    for plan in plans:
        assert plan.indexes & QUEUE
    (plan,) = examine(catalogue, lambda c: load_plays(c, [(DISPLAY, head)]))
    assert "video_history_timeline_video_id_key" in plan.indexes


def test_plays_are_read_by_display(catalogue: Engine) -> None:
    recent = wall.After(datetime(2026, 1, 22, tzinfo=UTC), wall.FIRST_PAGE.id)
    plays: list[Any] = []
    plans = examine(
        catalogue,
        lambda c: plays.append(recent_plays(c, [DISPLAY], 20)[DISPLAY]),
        lambda c: plays.append(plays_of(c, DISPLAY, 20, wall.FIRST_PAGE)),
        lambda c: plays.append(plays_of(c, DISPLAY, 20, recent)),
    )
    assert [len(found) for found in plays] == [20, 20, 20]
    for plan in plans:
        assert "video_history_display_id_played_at_idx" in plan.indexes
    for page in plans[1:]:
        assert "sora_posts_pkey" in page.indexes


def test_plays_of_a_rollout_and_of_minutes_are_read_by_display(catalogue: Engine) -> None:
    displays = [row.id for row in run(catalogue, "SELECT id FROM displays")]
    ((last,),) = run(catalogue, "SELECT max(played_at) FROM video_history")
    hour, signals = timedelta(hours=1), [Signal.SKIPPED]
    [rollout, minutes] = examine(
        catalogue,
        lambda c: read_signals(c, signals, displays, last - hour, last),
        lambda c: read_minutes(c, 60),
    )
    for plan in (rollout, minutes):
        assert "video_history_display_id_played_at_idx" in plan.indexes


def test_last_plays_are_looked_up_by_post(catalogue: Engine) -> None:
    found = run(
        catalogue,
        "SELECT video_id, CAST(extract(epoch FROM max(played_at)) * 1000000 AS bigint) AS last"
        " FROM video_history h JOIN displays d ON d.id = h.display_id"
        " WHERE d.id = :id AND played_at >= dedup_since GROUP BY video_id",
        id=DISPLAY,
    )
    posts = [row.id for row in run(catalogue, "SELECT id FROM sora_posts ORDER BY id LIMIT 200")]
    asked = {DISPLAY: {*posts, *(row.video_id for row in found)}, "D00007": set(posts)}
    plays: list[Any] = []
    [plan] = examine(catalogue, lambda c: plays.append(last_plays(c, asked)))
    assert plan.indexes == {"displays_pkey", "video_history_display_id_video_id_idx"}
    assert plays[0][DISPLAY] == {row.video_id: row.last for row in found}


def test_seen_videos_are_read_by_block(catalogue: Engine) -> None:
    rows = run(
        catalogue,
        "SELECT b.id FROM playlist_blocks b JOIN playlists p ON p.id = b.playlist_id"
        " WHERE p.display_id = :id AND p.is_active",
        id=DISPLAY,
    )
    [plan] = examine(catalogue, lambda c: wall.seen_of(c, [row.id for row in rows]))
    assert "video_history_block_id_display_id_idx" in plan.indexes


def test_the_displays_that_a_post_concerns_are_found_by_index(engine: Engine) -> None:
    fill_wall(engine)
    found: list[Any] = []
    plans = examine(
        engine,
        lambda c: found.append(note_users_of(c, [("term 7", "wide", "newest")])),
        lambda c: found.append(note_plans_with(c, ["post D00007", "post D00008"], ["term 7"])),
    )
    assert [found[0], found[1]] == [{f"D{n:05}" for n in range(7, 10_000, 1_000)}, 1]
    assert len(plans) == 2
    for plan in plans:
        assert "display_terms_term_idx" in plan.indexes
        assert plan.read_whole == set()


def test_a_page_of_displays_is_read_by_display_and_block(catalogue: Engine) -> None:
    counts = tuple(Field(name, name) for name in ("search", "total", "seen", "available"))
    shape = (
        Field("queued", "queued"),
        Field("p", "active_playlist", (Field("blocks", "blocks", counts),)),
    )
    pages: list[Any] = []
    for order in wall.DisplayOrder:
        examine(
            catalogue,
            lambda c: pages.append(wall.display_json_page(c, [shape], order, None, None, 20)),  # noqa: B023  # called at once
        )
    assert [len(page) for page in pages] == [20, 20, 20]

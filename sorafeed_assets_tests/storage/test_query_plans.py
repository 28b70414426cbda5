"""Query plans on 200,000 posts: frequent queries use their indexes, and scan no whole table."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, event, text

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
from sorafeed_assets.storage.postgres.indexes import analyze, indexes_built_after
from sorafeed_assets.storage.rollouts.signals import read_signals
from sorafeed_assets.storage.timelines.advance import load_free_heads, load_heads, load_plays
from sorafeed_assets.storage.timelines.history import plays_of
from sorafeed_assets.storage.timelines.plays import last_plays, recent_plays
from sorafeed_assets.storage.timelines.queues import load_depths, wrong_formats
from sorafeed_assets.storage.timelines.reads import load_queues
from sorafeed_assets_tests.catalogue import run

# Phrases of 20, 2,000 and 20,000 posts.
RARE, MEDIUM, FREQUENT = "violet lighthouse", "copper balloon", "night market"
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

_WORDS: Final = [
    start + end
    for start in ("ba", "co", "dri", "fu", "gla", "hi", "ju", "ke", "lo", "mi", "no", "pra", "ro")
    for end in ("ber", "den", "fish", "gon", "ing", "jam", "ket", "lle", "mor", "nst", "pping")
]

# Three of 4,096 sentences per post, and perhaps a phrase; about 7,700 posts per catalog day.
_POSTS: Final = """
WITH sentences AS MATERIALIZED (
    SELECT s, string_agg(
        (CAST(:words AS text[]))[1 + (hashint8extended(s, k) & 127)], ' ' ORDER BY k) AS words
    FROM generate_series(0, 4095) AS s, generate_series(1, 9) AS k GROUP BY s
), numbers AS (
    SELECT n, hashint8extended(n, 0) AS h,
           timestamptz '2026-01-01 00:00+00' + n * interval '11.2 seconds' AS indexed_at
    FROM generate_series(1, 200000) AS n
)
INSERT INTO sora_posts
    (id, creator_id, text, posted_at, indexed_at, video_url, width, height)
SELECT 's_' || md5(n::text), 'user-' || n % 5000,
       concat_ws(' ', a.words, CASE WHEN n % 10000 = 17 THEN :rare
                                    WHEN n % 100 = 7 THEN :medium
                                    WHEN n % 10 = 3 THEN :frequent END, b.words, c.words),
       indexed_at - (h & 1048575) * interval '0.2 seconds', indexed_at,
       'https://videos.example/az/files/' || md5(n::text) || '/drvs/md/raw',
       CASE WHEN h & 7 < 4 THEN 640 WHEN h & 7 < 7 THEN 352 END,
       CASE WHEN h & 7 < 4 THEN 352 WHEN h & 7 < 7 THEN 640 END
FROM numbers
JOIN sentences AS a ON a.s = (h >> 8) & 4095
JOIN sentences AS b ON b.s = (h >> 20) & 4095
JOIN sentences AS c ON c.s = (h >> 32) & 4095
ORDER BY n
"""

# 300 terms with counts and pools; 300 displays, each with a full queue and 120 plays.
_REST: Final = (
    """
    INSERT INTO search_terms (term, phrase, counted_at)
    SELECT term, term, now() FROM (
        SELECT unnest(CAST(:phrases AS text[])) AS term
        UNION ALL SELECT 'term ' || n FROM generate_series(4, 300) AS n
    ) AS terms
    """,
    """
    INSERT INTO video_counts_daily (term, format, catalog_day, count)
    SELECT term, format, date '2026-01-01' + day, 7
    FROM search_terms, unnest('{mixed,wide,tall}'::text[]) AS format, generate_series(0, 25) AS day
    """,
    """
    INSERT INTO video_candidates (term, size_class, pool, post_id, posted_at, id_hash)
    SELECT t.term, p.size_class, pool, p.id, p.posted_at, p.id_hash
    FROM (SELECT id, size_class, posted_at, id_hash FROM sora_posts ORDER BY id LIMIT 100) AS p,
         search_terms AS t, unnest('{newest,random}'::text[]) AS pool
    """,
    """
    INSERT INTO displays (id, name, active_build_id, dedup_since, loop_iteration)
    SELECT 'D' || lpad(n::text, 5, '0'), 'a display', n, '2026-01-20 00:00+00', 1
    FROM generate_series(1, 300) AS n
    """,
    """
    INSERT INTO playlists (display_id, name, is_active, is_new)
    SELECT id, 'a playlist', n = 1, false FROM displays, generate_series(1, 2) AS n
    """,
    """
    INSERT INTO playlist_blocks (playlist_id, search_term, video_count, block_order)
    SELECT p.id, t.term, 50, t.n - 1
    FROM playlists AS p, unnest(CAST(:phrases AS text[])) WITH ORDINALITY AS t (term, n)
    """,
    """
    INSERT INTO timeline_builds (id, display_id, playlist_id, playlist_version, loop_iteration,
        inputs, plan, content_hash)
    OVERRIDING SYSTEM VALUE
    SELECT d.active_build_id, d.id, p.id, 'v', 1, '{}', '{"loops": [{"loop": 1, "picks": []}]}', 'h'
    FROM displays AS d JOIN playlists AS p ON p.display_id = d.id AND p.is_active
    """,
    """
    INSERT INTO timeline_videos (display_id, build_id, playlist_id, block_id, video_id,
        block_position, timeline_position, loop_iteration, queue_slot, video_data)
    SELECT d.id, d.active_build_id, k.playlist_id, k.id, 's_' || md5(slot::text), slot, slot, 1,
           slot, jsonb_build_object('id', slot, 'text', repeat('what it shows ', 20))
    FROM displays AS d
    JOIN playlists AS p ON p.display_id = d.id AND p.is_active
    JOIN playlist_blocks AS k ON k.playlist_id = p.id AND k.block_order = 0,
        generate_series(0, 9) AS slot
    """,
    """
    UPDATE displays AS d SET current_timeline_video_id = v.id
    FROM timeline_videos AS v WHERE v.display_id = d.id AND v.queue_slot = 0
    """,
    """
    INSERT INTO video_history (display_id, video_id, block_id, loop_iteration, played_at,
        timeline_video_id)
    SELECT d.id, 's_' || md5((hashint8extended(n, 1) & 65535)::text), k.id, 0,
           timestamptz '2026-01-01 00:00+00' + n * interval '5 hours', uuidv7()
    FROM generate_series(1, 120) AS n, displays AS d
    JOIN playlists AS p ON p.display_id = d.id AND p.is_active
    JOIN playlist_blocks AS k ON k.playlist_id = p.id
    WHERE k.block_order = n % 3
    """,
)


@pytest.fixture(scope="module")
def catalogue(postgres: EmbeddedPostgres, template_database: str) -> Iterator[Engine]:
    """200,000 posts, with displays, pools and plays; read-only."""
    engine = create_database_engine(
        postgres.create_database("query_plans", template_database), Settings()
    )
    with indexes_built_after(engine):
        run(engine, _POSTS, words=_WORDS, rare=RARE, medium=MEDIUM, frequent=FREQUENT)
    analyze(engine)
    with engine.begin() as connection:
        for statement in _REST:
            values = {"phrases": [RARE, MEDIUM, FREQUENT]} if ":phrases" in statement else {}
            connection.execute(text(statement), values)
        connection.execute(
            text(
                "ANALYZE search_terms, video_counts_daily, video_candidates, displays, playlists,"
                " playlist_blocks, timeline_builds, timeline_videos, video_history"
            )
        )
    yield engine
    engine.dispose()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as driver:
        driver.execute("DROP DATABASE query_plans WITH (FORCE)")


@dataclass(frozen=True, slots=True)
class Plan:
    """The query plan of one statement."""

    root: dict[str, Any]

    @property
    def read_whole(self) -> set[str]:
        """The tables with a sequential scan."""
        scans = (node for node in _nodes(self.root) if node["Node Type"] == "Seq Scan")
        return {node["Relation Name"] for node in scans}

    @property
    def indexes(self) -> set[str]:
        """The used indexes."""
        return {node["Index Name"] for node in _nodes(self.root) if "Index Name" in node}

    @property
    def index_conditions(self) -> dict[str, str]:
        """Index → its condition."""
        nodes = (node for node in _nodes(self.root) if "Index Cond" in node)
        return {node["Index Name"]: node["Index Cond"] for node in nodes}

    @property
    def sorted_tables(self) -> set[str]:
        """The tables whose rows are sorted rather than read in order."""
        sorts = (node for node in _nodes(self.root) if node["Node Type"].endswith("Sort"))
        below = (inner for sort in sorts for inner in _nodes(sort))
        return {node["Relation Name"] for node in below if "Relation Name" in node}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _explain(cursor: psycopg.Cursor[Any], statement: str, parameters: Any = None) -> Plan:
    explained = cursor.connection.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), parameters)
    row = explained.fetchone()
    assert row is not None
    return Plan(row[0][0]["Plan"])


def plans_of(engine: Engine, *reads: Callable[[Connection], object]) -> list[Plan]:
    """The plan of every statement that ``reads`` run; asserts that none scans a large table."""
    plans: list[Plan] = []

    def note(_: object, cursor: Any, statement: str, parameters: Any, *_context: object) -> None:
        # The number of posts is read from the planner's statistics.
        if statement.lstrip().startswith(("SELECT", "WITH")) and "reltuples" not in statement:
            plans.append(_explain(cursor, statement, parameters))

    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", note)
        for read in reads:
            read(connection)
    assert plans
    for plan in plans:
        assert not plan.read_whole & LARGE, plan.root
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
    [plan] = plans_of(catalogue, lambda c: c.execute(matches, values))
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
    for plan in plans_of(catalogue, read_two_pages(ask(term, mode, format_), size)):
        assert plan.indexes == {ORDERED[mode]}
        assert not plan.sorted_tables


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize(("term", "size"), [(RARE, 8), (MEDIUM, 950)])
def test_pages_of_few_matches_are_found(
    catalogue: Engine, mode: FetchMode, term: str, size: int
) -> None:
    plans = plans_of(catalogue, read_two_pages(ask(term, mode), size))
    searches = [plan for plan in plans if SEARCH in plan.indexes]
    assert len(searches) == 2
    for search in searches:
        assert "~~*" in search.index_conditions[SEARCH]
        assert "@>" not in search.index_conditions[SEARCH]
    for look in plans:
        assert look in searches or (look.indexes <= {ORDERED[mode]} and not look.sorted_tables)


@pytest.mark.parametrize("mode", FetchMode)
def test_pages_of_some_matches_are_found_in_slices(catalogue: Engine, mode: FetchMode) -> None:
    plans = plans_of(catalogue, read_two_pages(ask(MEDIUM, mode), 300))
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
    [plan] = plans_of(catalogue, lambda c: read_pools(c, asked, 100))
    assert POOLED[mode] in plan.indexes
    assert "video_counts_daily" not in plan.read_whole


@pytest.mark.parametrize("mode", FetchMode)
@pytest.mark.parametrize("term", [RARE, FREQUENT])
def test_picks_are_looked_up_by_id(catalogue: Engine, mode: FetchMode, term: str) -> None:
    ids = [row.id for row in run(catalogue, "SELECT id FROM sora_posts ORDER BY id LIMIT 300")]
    picks = [(ask(term, mode, format_), post_id) for format_ in Format for post_id in ids]
    formats = [(number, post_id, "wide") for number, post_id in enumerate(ids)]
    # A few matches may be found before many ids are.
    [among] = plans_of(catalogue, lambda c: read_among(c, ask(term, mode), ids))
    assert (SEARCH if term == RARE else "sora_posts_pkey") in among.indexes
    plans = plans_of(
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
    [plan] = plans_of(catalogue, lambda c: c.exec_driver_sql(query))
    assert plan.indexes == {"sora_posts_indexed_at_idx"}


def test_queues_are_read_by_display(catalogue: Engine) -> None:
    head = run(
        catalogue, "SELECT current_timeline_video_id FROM displays WHERE id = :id", id=DISPLAY
    )[0][0]
    plans = plans_of(
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
    (plan,) = plans_of(catalogue, lambda c: load_plays(c, [(DISPLAY, head)]))
    assert "video_history_timeline_video_id_key" in plan.indexes


def test_plays_are_read_by_display(catalogue: Engine) -> None:
    recent = wall.After(datetime(2026, 1, 22, tzinfo=UTC), wall.FIRST_PAGE.id)
    plays: list[Any] = []
    plans = plans_of(
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
    [rollout, minutes] = plans_of(
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
    [plan] = plans_of(catalogue, lambda c: plays.append(last_plays(c, asked)))
    assert plan.indexes == {"displays_pkey", "video_history_display_id_video_id_idx"}
    assert plays[0][DISPLAY] == {row.video_id: row.last for row in found}


def test_seen_videos_are_read_by_block(catalogue: Engine) -> None:
    rows = run(
        catalogue,
        "SELECT b.id FROM playlist_blocks b JOIN playlists p ON p.id = b.playlist_id"
        " WHERE p.display_id = :id AND p.is_active",
        id=DISPLAY,
    )
    [plan] = plans_of(catalogue, lambda c: wall.seen_of(c, [row.id for row in rows]))
    assert "video_history_block_id_display_id_idx" in plan.indexes


# 10,000 displays; ten of them search for the same term.
_WALL: Final = (
    """
    INSERT INTO displays (id, name, active_build_id)
    SELECT 'D' || lpad(n::text, 5, '0'), 'a display', n FROM generate_series(1, 10000) AS n
    """,
    """
    INSERT INTO playlists (display_id, name, is_active, is_new)
    SELECT id, 'a playlist', true, false FROM displays
    """,
    """
    INSERT INTO playlist_blocks (playlist_id, search_term, video_count, fetch_mode, block_order)
    SELECT p.id, 'Term ' || (d.active_build_id % 1000), 5, 'newest', 0
    FROM playlists AS p JOIN displays AS d ON d.id = p.display_id
    """,
    """
    INSERT INTO display_terms (display_id, term)
    SELECT id, 'term ' || (active_build_id % 1000) FROM displays
    """,
    """
    INSERT INTO timeline_builds (id, display_id, playlist_id, playlist_version, loop_iteration,
        inputs, plan, content_hash)
    OVERRIDING SYSTEM VALUE
    SELECT d.active_build_id, d.id, p.id, 'v', 0, '{}',
        jsonb_set('{"loops": [{"loop": 0, "picks": [{"video_id": ""}]}]}',
            '{loops,0,picks,0,video_id}', to_jsonb('post ' || d.id)), 'h'
    FROM displays AS d JOIN playlists AS p ON p.display_id = d.id
    """,
    "ANALYZE displays, playlists, playlist_blocks, display_terms, timeline_builds",
)


def test_the_displays_that_a_post_concerns_are_found_by_index(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in _WALL:
            connection.execute(text(statement))
    found: list[Any] = []
    plans = plans_of(
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
        plans_of(
            catalogue,
            lambda c: pages.append(wall.display_json_page(c, [shape], order, None, None, 20)),  # noqa: B023  # called at once
        )
    assert [len(page) for page in pages] == [20, 20, 20]

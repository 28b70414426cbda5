"""A catalogue of 200,000 posts, and walls of displays, made set-wise, for tests of query plans."""

from typing import Final

from sqlalchemy import Engine, text

from sorafeed_assets.storage.postgres.indexes import analyze, indexes_built_after
from sorafeed_assets_tests.catalogue import run

# Phrases of 20, 2,000 and 20,000 posts.
RARE, MEDIUM, FREQUENT = "violet lighthouse", "copper balloon", "night market"

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
    """
    ANALYZE search_terms, video_counts_daily, video_candidates, displays, playlists,
        playlist_blocks, timeline_builds, timeline_videos, video_history
    """,
)

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


def fill_catalogue(engine: Engine) -> None:
    """200,000 posts, with displays, pools and plays."""
    with indexes_built_after(engine):
        run(engine, _POSTS, words=_WORDS, rare=RARE, medium=MEDIUM, frequent=FREQUENT)
    analyze(engine)
    with engine.begin() as connection:
        for statement in _REST:
            values = {"phrases": [RARE, MEDIUM, FREQUENT]} if ":phrases" in statement else {}
            connection.execute(text(statement), values)


def fill_wall(engine: Engine) -> None:
    """10,000 displays without posts; ten of them search for the same term."""
    with engine.begin() as connection:
        for statement in _WALL:
            connection.execute(text(statement))

"""The rest of the schema, besides our tables and indexes: extension, slices, triggers, the view,
and the schema `scanner`.

The migrations have their own copies; a test compares what both make.
"""

from typing import Final

EXTENSIONS: Final = "CREATE EXTENSION IF NOT EXISTS pg_trgm"

# The slices of a post, for the search index: in the random order a 256th (0), the 128th
# around it (1), and so on to a half (7); in the newest order a day (20), two days (21), and so on.
# Slices are numbered along their order; `storage.catalog.pages` reads them.
SLICES: Final = """
CREATE FUNCTION search_slices(id_hash bigint, posted_at timestamptz) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[
        id_hash >> 56,
        1000000000 + (id_hash >> 57),
        2000000000 + (id_hash >> 58),
        3000000000 + (id_hash >> 59),
        4000000000 + (id_hash >> 60),
        5000000000 + (id_hash >> 61),
        6000000000 + (id_hash >> 62),
        7000000000 + (id_hash >> 63),
        20000000000 + (date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date),
        21000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 1),
        22000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 2),
        23000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 3),
        24000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 4),
        25000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 5),
        26000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 6),
        27000000000 + ((date '2099-12-31' - (posted_at AT TIME ZONE 'UTC')::date) >> 7)
    ]
"""

# The catalog day is the UTC date of indexed_at; it is defined only here.
FUNCTIONS: Final = """
CREATE FUNCTION catalog_day(indexed_at timestamptz) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (indexed_at AT TIME ZONE 'UTC')::date;

CREATE FUNCTION record_catalog_inserts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog_changes (catalog_day, post_id, kind)
    SELECT catalog_day(indexed_at), id, 'insert' FROM new_rows;
    RETURN NULL;
END $$;

CREATE FUNCTION record_catalog_deletes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog_changes (catalog_day, post_id, kind, old_text, old_width, old_height)
    SELECT catalog_day(indexed_at), id, 'delete', text, width, height FROM old_rows;
    RETURN NULL;
END $$;

-- A post that changes its day or its id leaves the old one and enters the new one; an edit of
-- what neither counts nor order depend on (a URL) is no change.
CREATE FUNCTION record_catalog_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog_changes (catalog_day, post_id, kind, old_text, old_width, old_height)
    SELECT catalog_day(o.indexed_at), o.id,
           CASE WHEN n.id IS NULL THEN 'delete' ELSE 'update' END, o.text, o.width, o.height
    FROM old_rows o
    LEFT JOIN new_rows n ON n.id = o.id AND catalog_day(n.indexed_at) = catalog_day(o.indexed_at)
    WHERE n.id IS NULL
       OR (o.text, o.width, o.height, o.posted_at)
          IS DISTINCT FROM (n.text, n.width, n.height, n.posted_at);
    INSERT INTO catalog_changes (catalog_day, post_id, kind)
    SELECT catalog_day(n.indexed_at), n.id, 'insert'
    FROM new_rows n
    LEFT JOIN old_rows o ON o.id = n.id AND catalog_day(o.indexed_at) = catalog_day(n.indexed_at)
    WHERE o.id IS NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_catalog_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of sora_posts is refused: counts could not follow it'
        USING HINT = 'Use DELETE FROM sora_posts.';
END $$;

-- The API's login may not write tokens; by these it gives displays theirs, and revokes those.
CREATE FUNCTION add_screen_token(of_display text, its_name text, its_hash text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added uuid;
BEGIN
    IF NOT has_table_privilege(session_user, 'screen_pairings', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for screens';
    END IF;
    INSERT INTO api_tokens (role, display_id, name, token_hash)
    VALUES ('display', of_display, its_name, its_hash) RETURNING id INTO added;
    RETURN added;
END $$;

CREATE FUNCTION revoke_screen_token(of_display text, token uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT has_table_privilege(session_user, 'screen_pairings', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for screens';
    END IF;
    UPDATE api_tokens SET revoked_at = now()
    WHERE id = token AND role = 'display' AND display_id = of_display AND revoked_at IS NULL;
    RETURN FOUND;
END $$;

CREATE FUNCTION record_pool_inserts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO candidate_pools AS p (term, size_class, pool, posts, digest)
    SELECT term, size_class, pool, count(*),
           bit_xor(hashtextextended(post_id || extract(epoch FROM posted_at), 0))
    FROM new_rows
    GROUP BY term, size_class, pool ORDER BY term, size_class, pool
    ON CONFLICT (term, size_class, pool) DO UPDATE
    SET posts = p.posts + excluded.posts, digest = p.digest # excluded.digest;
    RETURN NULL;
END $$;

CREATE FUNCTION record_pool_deletes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        SELECT term, size_class, pool, count(*) AS posts,
               bit_xor(hashtextextended(post_id || extract(epoch FROM posted_at), 0)) AS digest
        FROM old_rows GROUP BY term, size_class, pool
    ), emptied AS (
        DELETE FROM candidate_pools p USING gone g
        WHERE (p.term, p.size_class, p.pool) = (g.term, g.size_class, g.pool)
          AND p.posts = g.posts
    )
    UPDATE candidate_pools p SET posts = p.posts - g.posts, digest = p.digest # g.digest
    FROM gone g
    WHERE (p.term, p.size_class, p.pool) = (g.term, g.size_class, g.pool) AND p.posts <> g.posts;
    RETURN NULL;
END $$;

CREATE FUNCTION record_count_inserts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_digests AS d (catalog_day, rows, digest)
    SELECT catalog_day, count(*),
           bit_xor(hashtextextended(concat_ws(E'\\x1f', term, format, count), 0))
    FROM new_rows GROUP BY catalog_day ORDER BY catalog_day
    ON CONFLICT (catalog_day) DO UPDATE
    SET rows = d.rows + excluded.rows, digest = d.digest # excluded.digest;
    RETURN NULL;
END $$;

CREATE FUNCTION record_count_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE count_digests d SET rows = d.rows + c.rows, digest = d.digest # c.digest
    FROM (
        SELECT catalog_day, sum(rows) AS rows, bit_xor(digest) AS digest
        FROM (
            SELECT catalog_day, -1 AS rows,
                   hashtextextended(concat_ws(E'\\x1f', term, format, count), 0) AS digest
            FROM old_rows
            UNION ALL
            SELECT catalog_day, 1, hashtextextended(concat_ws(E'\\x1f', term, format, count), 0)
            FROM new_rows
        ) AS both_sides
        GROUP BY catalog_day ORDER BY catalog_day
    ) AS c
    WHERE d.catalog_day = c.catalog_day;
    RETURN NULL;
END $$;

CREATE FUNCTION record_count_deletes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE count_digests d SET rows = d.rows - c.rows, digest = d.digest # c.digest
    FROM (
        SELECT catalog_day, count(*) AS rows,
               bit_xor(hashtextextended(concat_ws(E'\\x1f', term, format, count), 0)) AS digest
        FROM old_rows GROUP BY catalog_day ORDER BY catalog_day
    ) AS c
    WHERE d.catalog_day = c.catalog_day;
    RETURN NULL;
END $$;

-- Settling a display writes playlists too, and has not to be told of that.
CREATE FUNCTION is_settling() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN coalesce(current_setting('sorafeed.is_settling', true), '') = 'on';

CREATE FUNCTION note_displays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) SELECT id FROM changed_rows;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_playlists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) SELECT DISTINCT display_id FROM changed_rows;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_blocks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT DISTINCT p.display_id FROM changed_rows b JOIN playlists p ON p.id = b.playlist_id;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_playlist_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) VALUES (new.display_id);
        IF old.display_id <> new.display_id THEN
            INSERT INTO display_changes (display_id) VALUES (old.display_id);
        END IF;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_block_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT display_id FROM playlists WHERE id IN (old.playlist_id, new.playlist_id);
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_time_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT DISTINCT p.display_id FROM changed_rows s JOIN playlists p ON p.id = s.playlist_id;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_time_slot_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT display_id FROM playlists WHERE id IN (old.playlist_id, new.playlist_id);
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_timetable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) VALUES (new.display_id);
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;
"""

TRIGGERS: Final = """
CREATE TRIGGER sora_posts_inserted AFTER INSERT ON sora_posts
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_inserts();
CREATE TRIGGER sora_posts_updated AFTER UPDATE ON sora_posts
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_updates();
CREATE TRIGGER sora_posts_deleted AFTER DELETE ON sora_posts
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_catalog_deletes();
CREATE TRIGGER sora_posts_truncated BEFORE TRUNCATE ON sora_posts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_catalog_truncate();
CREATE TRIGGER video_candidates_inserted AFTER INSERT ON video_candidates
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_pool_inserts();
CREATE TRIGGER video_candidates_deleted AFTER DELETE ON video_candidates
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_pool_deletes();
CREATE TRIGGER video_counts_daily_inserted AFTER INSERT ON video_counts_daily
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_count_inserts();
CREATE TRIGGER video_counts_daily_updated AFTER UPDATE ON video_counts_daily
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_count_updates();
CREATE TRIGGER video_counts_daily_deleted AFTER DELETE ON video_counts_daily
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_count_deletes();
CREATE TRIGGER displays_inserted AFTER INSERT ON displays
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_displays();
CREATE TRIGGER displays_deleted AFTER DELETE ON displays
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_displays();
CREATE TRIGGER playlists_inserted AFTER INSERT ON playlists
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_playlists();
CREATE TRIGGER playlists_deleted AFTER DELETE ON playlists
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_playlists();
CREATE TRIGGER playlist_blocks_inserted AFTER INSERT ON playlist_blocks
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_blocks();
CREATE TRIGGER playlist_blocks_deleted AFTER DELETE ON playlist_blocks
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_blocks();
-- By row and by column: advancing a display updates its playlist and blocks too, all day long.
CREATE TRIGGER playlists_updated
    AFTER UPDATE OF display_id, created_at, is_active, is_new ON playlists
    FOR EACH ROW EXECUTE FUNCTION note_playlist_update();
CREATE TRIGGER playlist_blocks_updated
    AFTER UPDATE OF playlist_id, search_term, video_count, fetch_mode, format, block_order
    ON playlist_blocks
    FOR EACH ROW EXECUTE FUNCTION note_block_update();
CREATE TRIGGER time_slots_inserted AFTER INSERT ON time_slots
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_time_slots();
CREATE TRIGGER time_slots_deleted AFTER DELETE ON time_slots
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_time_slots();
CREATE TRIGGER time_slots_updated AFTER UPDATE ON time_slots
    FOR EACH ROW EXECUTE FUNCTION note_time_slot_update();
CREATE TRIGGER timetables_inserted AFTER INSERT ON timetables
    FOR EACH ROW EXECUTE FUNCTION note_timetable();
CREATE TRIGGER timetables_updated AFTER UPDATE OF base_id, held_since ON timetables
    FOR EACH ROW EXECUTE FUNCTION note_timetable();
"""

# Only terms counted over the whole catalogue appear: a missing term is unknown, never zero.
COUNTS_VIEW: Final = """
CREATE MATERIALIZED VIEW video_counts_by_search AS
SELECT t.term AS search_term,
       f.format,
       coalesce(sum(d.count), 0)::bigint AS total_count,
       now() AS refreshed_at
FROM search_terms t
CROSS JOIN (VALUES ('mixed'), ('wide'), ('tall')) AS f (format)
LEFT JOIN video_counts_daily d ON d.term = t.term AND d.format = f.format
WHERE t.counted_at IS NOT NULL
GROUP BY t.term, f.format;

CREATE UNIQUE INDEX video_counts_by_search_key ON video_counts_by_search (search_term, format);
"""

# Plain SQL, tables too: their shape is the scanner's, and nothing here reads them.
SCANNER: Final = """
CREATE SCHEMA scanner;
COMMENT ON SCHEMA scanner IS
    'tables of the old system''s shape: its scanner writes them, triggers carry the rows into ours';

CREATE TABLE scanner.creators (
    id text PRIMARY KEY,
    username text NOT NULL,
    display_name text,
    profile_picture_url text,
    permalink text,
    follower_count integer DEFAULT 0,
    following_count integer DEFAULT 0,
    post_count integer DEFAULT 0,
    verified boolean DEFAULT false,
    first_seen timestamp DEFAULT CURRENT_TIMESTAMP,
    last_updated timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE scanner.sora_posts (
    id text PRIMARY KEY,
    creator_id text NOT NULL REFERENCES scanner.creators (id),
    text text,
    posted_at bigint NOT NULL,
    updated_at bigint,
    permalink text NOT NULL,
    video_url text,
    video_url_md text,
    thumbnail_url text,
    gif_url text,
    width integer,
    height integer,
    generation_id text,
    task_id text,
    like_count integer DEFAULT 0,
    view_count integer DEFAULT 0,
    remix_count integer DEFAULT 0,
    indexed_at timestamp DEFAULT CURRENT_TIMESTAMP,
    last_updated timestamp DEFAULT CURRENT_TIMESTAMP
);

-- A trigger runs with the search path of this schema only, so everything of ours is qualified;
-- SET keeps our own triggers on the path that they expect.
CREATE FUNCTION scanner.carry_creators() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO public.creators AS c (id, username, display_name, profile_picture_url, permalink,
        follower_count, following_count, post_count, verified)
    SELECT id, username, display_name, profile_picture_url, permalink, follower_count,
        following_count, post_count, coalesce(verified, false)
    FROM new_rows WHERE id <> '' ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET (username, display_name, profile_picture_url, permalink, follower_count, following_count,
         post_count, verified)
        = ROW(excluded.username, excluded.display_name, excluded.profile_picture_url,
              excluded.permalink, excluded.follower_count, excluded.following_count,
              excluded.post_count, excluded.verified)
    WHERE (c.username, c.display_name, c.profile_picture_url, c.permalink, c.follower_count,
           c.following_count, c.post_count, c.verified)
        IS DISTINCT FROM (excluded.username, excluded.display_name, excluded.profile_picture_url,
            excluded.permalink, excluded.follower_count, excluded.following_count,
            excluded.post_count, excluded.verified);
    RETURN NULL;
END $$;

-- The time of indexing is now: the column has the zone of the scanner's session, which may be any.
CREATE FUNCTION scanner.carry_posts() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO public.sora_posts (id, creator_id, text, posted_at, permalink, video_url,
        video_url_md, thumbnail_url, gif_url, width, height, generation_id, task_id)
    SELECT id, creator_id, text,
        to_timestamp(CASE WHEN posted_at BETWEEN 1 AND 4102444799 THEN posted_at ELSE 0 END),
        permalink, video_url, video_url_md, thumbnail_url, gif_url,
        CASE WHEN width > 0 THEN width END, CASE WHEN height > 0 THEN height END,
        generation_id, task_id
    FROM new_rows WHERE id <> '' ORDER BY id
    ON CONFLICT (id) DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER creators_inserted AFTER INSERT ON scanner.creators
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scanner.carry_creators();
CREATE TRIGGER creators_updated AFTER UPDATE ON scanner.creators
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scanner.carry_creators();
CREATE TRIGGER posts_inserted AFTER INSERT ON scanner.sora_posts
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scanner.carry_posts();
"""

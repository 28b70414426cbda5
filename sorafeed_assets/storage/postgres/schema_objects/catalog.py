"""Posts: the slices of the search index, and the outbox of changes."""

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
OBJECTS: Final = """
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
    INSERT INTO catalog_changes (catalog_day, post_id, kind, old_text, old_width, old_height,
        old_creator_id)
    SELECT catalog_day(indexed_at), id, 'delete', text, width, height, creator_id FROM old_rows;
    RETURN NULL;
END $$;

-- A post that changes its day or its id leaves the old one and enters the new one; an edit of
-- what neither counts nor order depend on (a URL) is no change.
CREATE FUNCTION record_catalog_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog_changes (catalog_day, post_id, kind, old_text, old_width, old_height,
        old_creator_id)
    SELECT catalog_day(o.indexed_at), o.id,
           CASE WHEN n.id IS NULL THEN 'delete' ELSE 'update' END, o.text, o.width, o.height,
           o.creator_id
    FROM old_rows o
    LEFT JOIN new_rows n ON n.id = o.id AND catalog_day(n.indexed_at) = catalog_day(o.indexed_at)
    WHERE n.id IS NULL
       OR (o.text, o.width, o.height, o.posted_at, o.creator_id)
          IS DISTINCT FROM (n.text, n.width, n.height, n.posted_at, n.creator_id);
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
"""

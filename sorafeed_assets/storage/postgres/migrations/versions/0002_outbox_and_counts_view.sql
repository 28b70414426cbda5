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

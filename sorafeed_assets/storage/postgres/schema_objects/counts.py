"""Counts: the digests of pools and of daily counts, and the view of totals."""

from typing import Final

OBJECTS: Final = """
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
"""

# Only terms counted over the whole catalogue appear: a missing term is unknown, never zero.
TOTALS: Final = """
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

-- Sizes and digests of candidate pools, kept by triggers.

CREATE TABLE candidate_pools (
    term text NOT NULL,
    size_class text NOT NULL,
    pool text NOT NULL,
    posts bigint NOT NULL,
    digest bigint NOT NULL,
    CONSTRAINT candidate_pools_pkey PRIMARY KEY (term, size_class, pool),
    CONSTRAINT candidate_pools_posts_check CHECK (posts > 0)
);
COMMENT ON COLUMN candidate_pools.digest IS 'of the posts, whatever their order';

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

-- Nobody may add a candidate between the triggers and what they start from.
LOCK TABLE video_candidates IN SHARE ROW EXCLUSIVE MODE;

CREATE TRIGGER video_candidates_inserted AFTER INSERT ON video_candidates
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_pool_inserts();
CREATE TRIGGER video_candidates_deleted AFTER DELETE ON video_candidates
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION record_pool_deletes();

INSERT INTO candidate_pools (term, size_class, pool, posts, digest)
SELECT term, size_class, pool, count(*), bit_xor(hashtextextended(post_id || extract(epoch FROM posted_at), 0))
FROM video_candidates GROUP BY term, size_class, pool;

-- Only refreshes write here, and the lock holds them anyway.
CREATE INDEX video_candidates_newest_idx
    ON video_candidates (term, size_class, posted_at, post_id) WHERE pool = 'newest';
CREATE INDEX video_candidates_random_idx
    ON video_candidates (term, size_class, id_hash, post_id) WHERE pool = 'random';

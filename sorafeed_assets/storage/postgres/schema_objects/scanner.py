"""The schema `scanner`: tables of the old system's shape, whose rows are carried into ours."""

from typing import Final

# Plain SQL, tables too: their shape is the scanner's, and nothing here reads them.
OBJECTS: Final = """
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

CREATE TABLE blocklist (
    kind text,
    target_id text,
    excluded_at timestamptz NOT NULL DEFAULT now(),
    excluded_by text NOT NULL,
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (kind, target_id),
    CONSTRAINT blocklist_kind_check CHECK (kind IN ('post', 'creator')),
    CONSTRAINT blocklist_target_id_filled_check CHECK (target_id <> '')
);
COMMENT ON TABLE blocklist IS 'posts and creators that no display plays';
COMMENT ON COLUMN blocklist.kind IS 'post, or creator for all posts of one';
COMMENT ON COLUMN blocklist.target_id IS 'the id of the post or creator';
COMMENT ON COLUMN blocklist.excluded_by IS 'the name of the token, or the command';
COMMENT ON COLUMN blocklist.note IS 'the reason, for people';

CREATE TABLE counted_blocklist (
    kind text,
    target_id text,
    PRIMARY KEY (kind, target_id)
);
COMMENT ON TABLE counted_blocklist IS 'the blocklist that counts and pools follow now';

ALTER TABLE catalog_changes ADD COLUMN old_creator_id text;

CREATE OR REPLACE FUNCTION record_catalog_deletes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalog_changes (catalog_day, post_id, kind, old_text, old_width, old_height,
        old_creator_id)
    SELECT catalog_day(indexed_at), id, 'delete', text, width, height, creator_id FROM old_rows;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION record_catalog_updates() RETURNS trigger LANGUAGE plpgsql AS $$
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

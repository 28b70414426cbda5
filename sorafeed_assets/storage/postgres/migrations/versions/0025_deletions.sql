CREATE TABLE deletions (
    id uuid DEFAULT uuidv7() NOT NULL,
    display_id text NOT NULL,
    playlist_id uuid,
    name text NOT NULL,
    was_active boolean NOT NULL,
    rows jsonb NOT NULL,
    deleted_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT deletions_pkey PRIMARY KEY (id)
);

COMMENT ON TABLE deletions IS
    'deleted displays and playlists as they were, to be restored; kept for 30 days';
COMMENT ON COLUMN deletions.display_id IS 'the deleted display, or the playlist''s';
COMMENT ON COLUMN deletions.playlist_id IS 'the deleted playlist; null for a whole display';
COMMENT ON COLUMN deletions.was_active IS 'whether the playlist was active';
COMMENT ON COLUMN deletions.rows IS 'table: its deleted rows';

CREATE INDEX deletions_deleted_at_idx ON deletions (deleted_at, id);

-- What each asset holds, what has to be settled, and who uses which term.

CREATE TABLE lineage_records (
    id bigint GENERATED ALWAYS AS IDENTITY,
    asset text NOT NULL,
    partition text NOT NULL,
    data_version text NOT NULL,
    made_from jsonb NOT NULL,
    metadata jsonb NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    recorded_at timestamp with time zone,
    CONSTRAINT lineage_records_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE lineage_records IS 'what each asset''s partition holds: the last row of a partition is true now, a row without recorded_at waits for Dagster';
COMMENT ON COLUMN lineage_records.partition IS 'empty for an asset without partitions';
COMMENT ON COLUMN lineage_records.made_from IS 'the data version of each upstream asset';
COMMENT ON COLUMN lineage_records.attempts IS 'how often giving it to Dagster began';
CREATE INDEX lineage_records_asset_partition_id_idx ON lineage_records (asset, partition, id);
CREATE INDEX lineage_records_waiting_idx ON lineage_records (asset, id) WHERE recorded_at IS NULL;

CREATE TABLE display_changes (
    id bigint GENERATED ALWAYS AS IDENTITY,
    display_id text NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT display_changes_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE display_changes IS 'outbox: displays that have to be settled; removed by the transaction that settles them';
CREATE INDEX display_changes_display_id_idx ON display_changes (display_id);

CREATE TABLE display_terms (
    display_id text NOT NULL,
    term text NOT NULL,
    CONSTRAINT display_terms_pkey PRIMARY KEY (display_id, term),
    CONSTRAINT display_terms_display_id_fkey FOREIGN KEY (display_id) REFERENCES displays (id) ON DELETE CASCADE
);
COMMENT ON TABLE display_terms IS 'the normalized searches of a display''s playlists, as of its last settling';
CREATE INDEX display_terms_term_idx ON display_terms (term);

CREATE TABLE watched_terms (
    term text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT watched_terms_pkey PRIMARY KEY (term),
    CONSTRAINT watched_terms_term_fkey FOREIGN KEY (term) REFERENCES search_terms (term) ON DELETE CASCADE
);
COMMENT ON TABLE watched_terms IS 'terms that are tracked though no playlist uses them; a table of its own, so that watching a term never writes the row that a count holds';
INSERT INTO watched_terms (term) SELECT term FROM search_terms WHERE is_watched;
ALTER TABLE search_terms DROP COLUMN is_watched;

CREATE TABLE count_digests (
    catalog_day date NOT NULL,
    rows bigint NOT NULL,
    digest bigint NOT NULL,
    CONSTRAINT count_digests_pkey PRIMARY KEY (catalog_day)
);
COMMENT ON TABLE count_digests IS 'kept by the triggers of video_counts_daily: the version of a day without reading its counts';
COMMENT ON COLUMN count_digests.digest IS 'of the rows, whatever their order';

CREATE TABLE leases (
    name text NOT NULL,
    holder text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE leases IS 'which process leads a kind of work, and until when';

CREATE FUNCTION record_count_inserts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_digests AS d (catalog_day, rows, digest)
    SELECT catalog_day, count(*),
           bit_xor(hashtextextended(concat_ws(E'\x1f', term, format, count), 0))
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
                   hashtextextended(concat_ws(E'\x1f', term, format, count), 0) AS digest
            FROM old_rows
            UNION ALL
            SELECT catalog_day, 1, hashtextextended(concat_ws(E'\x1f', term, format, count), 0)
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
               bit_xor(hashtextextended(concat_ws(E'\x1f', term, format, count), 0)) AS digest
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

-- Nobody may count between the triggers and what they start from.
LOCK TABLE video_counts_daily IN SHARE ROW EXCLUSIVE MODE;

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

INSERT INTO count_digests (catalog_day, rows, digest)
SELECT catalog_day, count(*), bit_xor(hashtextextended(concat_ws(E'\x1f', term, format, count), 0))
FROM video_counts_daily GROUP BY catalog_day;

-- Every display is settled once more: that records what it holds.
INSERT INTO display_changes (display_id) SELECT id FROM displays;

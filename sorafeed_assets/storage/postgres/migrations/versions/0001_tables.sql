CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE creators (
    id TEXT NOT NULL,
    username TEXT NOT NULL,
    display_name TEXT,
    profile_picture_url TEXT,
    permalink TEXT,
    follower_count INTEGER,
    following_count INTEGER,
    post_count INTEGER,
    verified BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT creators_pkey PRIMARY KEY (id)
);

CREATE TABLE sora_posts (
    id TEXT NOT NULL,
    creator_id TEXT,
    text TEXT COLLATE pg_c_utf8,
    posted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    permalink TEXT,
    video_url TEXT,
    video_url_md TEXT,
    thumbnail_url TEXT,
    gif_url TEXT,
    width INTEGER,
    height INTEGER,
    generation_id TEXT,
    task_id TEXT,
    indexed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    id_hash BIGINT GENERATED ALWAYS AS (('x' || left(md5(id), 16))::bit(64)::bigint) STORED NOT NULL,
    size_class TEXT GENERATED ALWAYS AS (CASE WHEN width > height AND height > 0 THEN 'wide' WHEN height > width AND width > 0 THEN 'tall' ELSE 'other' END) STORED NOT NULL,
    CONSTRAINT sora_posts_pkey PRIMARY KEY (id),
    CONSTRAINT sora_posts_id_filled_check CHECK (id <> ''),
    CONSTRAINT sora_posts_size_check CHECK (width >= 0 AND height >= 0),
    CONSTRAINT sora_posts_times_finite_check CHECK (isfinite(posted_at) AND isfinite(indexed_at))
);

COMMENT ON COLUMN sora_posts.id_hash IS 'the first 8 bytes of the id''s MD5: the order that random picks start from';

CREATE TABLE catalog_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    catalog_day DATE NOT NULL,
    post_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    old_text TEXT COLLATE pg_c_utf8,
    old_width INTEGER,
    old_height INTEGER,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT catalog_changes_pkey PRIMARY KEY (id),
    CONSTRAINT catalog_changes_kind_check CHECK (kind IN ('insert', 'update', 'delete'))
);

COMMENT ON TABLE catalog_changes IS 'outbox: what a counts refresh consumes, in the transaction that applies it';

CREATE TABLE catalog_days (
    catalog_day DATE NOT NULL,
    revision BIGINT NOT NULL,
    post_count BIGINT NOT NULL,
    counted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT catalog_days_pkey PRIMARY KEY (catalog_day)
);

COMMENT ON TABLE catalog_days IS 'per day: how far counting has come';

COMMENT ON COLUMN catalog_days.revision IS 'how many changes were applied';

CREATE TABLE displays (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_ping TIMESTAMP WITH TIME ZONE,
    status TEXT DEFAULT 'offline' NOT NULL,
    current_video_id TEXT,
    current_position INTEGER,
    current_block_id UUID,
    current_timeline_video_id UUID,
    current_playlist_id UUID,
    timeline_position INTEGER DEFAULT 0 NOT NULL,
    commands JSONB DEFAULT '[]' NOT NULL,
    playback_state TEXT DEFAULT 'idle' NOT NULL,
    is_playing BOOLEAN DEFAULT false NOT NULL,
    is_muted BOOLEAN DEFAULT true NOT NULL,
    video_position DOUBLE PRECISION DEFAULT 0 NOT NULL,
    last_state_change TIMESTAMP WITH TIME ZONE,
    last_video_start_time TIMESTAMP WITH TIME ZONE,
    dedup_since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    loop_iteration INTEGER DEFAULT 0 NOT NULL,
    active_build_id BIGINT,
    CONSTRAINT displays_pkey PRIMARY KEY (id),
    CONSTRAINT displays_id_code_check CHECK (id ~ '^[A-Z0-9]{6}$'),
    CONSTRAINT displays_name_filled_check CHECK (btrim(name) <> ''),
    CONSTRAINT displays_status_check CHECK (status IN ('online', 'offline')),
    CONSTRAINT displays_playback_state_check CHECK (playback_state IN ('idle', 'playing', 'paused', 'loading')),
    CONSTRAINT displays_position_check CHECK (timeline_position >= 0 AND loop_iteration >= 0),
    CONSTRAINT displays_id_active_build_id_key UNIQUE (id, active_build_id)
);

CREATE TABLE search_terms (
    term TEXT NOT NULL,
    phrase TEXT NOT NULL,
    exclusions JSONB DEFAULT '[]' NOT NULL,
    is_watched BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    counted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT search_terms_pkey PRIMARY KEY (term),
    CONSTRAINT search_terms_term_length_check CHECK (char_length(term) BETWEEN 1 AND 200)
);

COMMENT ON COLUMN search_terms.term IS 'the normalized query';

COMMENT ON COLUMN search_terms.counted_at IS 'null until counted over the whole catalogue';

CREATE TABLE video_history (
    id UUID DEFAULT uuidv7() NOT NULL,
    display_id TEXT NOT NULL,
    video_id TEXT NOT NULL,
    block_id UUID,
    loop_iteration INTEGER NOT NULL,
    played_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    timeline_video_id UUID,
    was_skipped BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT video_history_pkey PRIMARY KEY (id),
    CONSTRAINT video_history_timeline_video_id_key UNIQUE (timeline_video_id)
);

COMMENT ON COLUMN video_history.timeline_video_id IS 'the queue row that was played; null if imported';

CREATE TABLE playlists (
    id UUID DEFAULT uuidv7() NOT NULL,
    display_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    is_active BOOLEAN DEFAULT false NOT NULL,
    is_new BOOLEAN DEFAULT true NOT NULL,
    total_blocks INTEGER DEFAULT 0 NOT NULL,
    total_videos INTEGER DEFAULT 0 NOT NULL,
    loop_count INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT playlists_pkey PRIMARY KEY (id),
    CONSTRAINT playlists_name_filled_check CHECK (btrim(name) <> ''),
    CONSTRAINT playlists_display_id_fkey FOREIGN KEY(display_id) REFERENCES displays (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX playlists_one_active_idx ON playlists (display_id) WHERE is_active;

CREATE INDEX playlists_display_id_created_at_idx ON playlists (display_id, created_at, id);

COMMENT ON COLUMN playlists.is_new IS 'true until activation has decided about it';

CREATE TABLE video_counts_daily (
    term TEXT NOT NULL,
    format TEXT NOT NULL,
    catalog_day DATE NOT NULL,
    count BIGINT NOT NULL,
    CONSTRAINT video_counts_daily_pkey PRIMARY KEY (term, format, catalog_day),
    CONSTRAINT video_counts_daily_format_check CHECK (format IN ('mixed', 'wide', 'tall')),
    CONSTRAINT video_counts_daily_count_check CHECK (count > 0),
    CONSTRAINT video_counts_daily_term_fkey FOREIGN KEY(term) REFERENCES search_terms (term) ON DELETE CASCADE
);

CREATE INDEX video_counts_daily_catalog_day_idx ON video_counts_daily (catalog_day);

COMMENT ON TABLE video_counts_daily IS 'sparse: a counted term without a row for a day has no match on it';

CREATE TABLE video_candidates (
    term TEXT NOT NULL,
    size_class TEXT NOT NULL,
    pool TEXT NOT NULL,
    post_id TEXT NOT NULL,
    posted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    id_hash BIGINT NOT NULL,
    CONSTRAINT video_candidates_pkey PRIMARY KEY (term, size_class, pool, post_id),
    CONSTRAINT video_candidates_size_class_check CHECK (size_class IN ('wide', 'tall', 'other')),
    CONSTRAINT video_candidates_pool_check CHECK (pool IN ('newest', 'random')),
    CONSTRAINT video_candidates_term_fkey FOREIGN KEY(term) REFERENCES search_terms (term) ON DELETE CASCADE
);

CREATE INDEX video_candidates_post_id_idx ON video_candidates (post_id);

CREATE TABLE timeline_builds (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    display_id TEXT NOT NULL,
    playlist_id UUID NOT NULL,
    playlist_version TEXT NOT NULL,
    loop_iteration INTEGER NOT NULL,
    inputs JSONB NOT NULL,
    plan JSONB NOT NULL,
    dry_blocks JSONB DEFAULT '[]' NOT NULL,
    content_hash TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT timeline_builds_pkey PRIMARY KEY (id),
    CONSTRAINT timeline_builds_display_id_id_key UNIQUE (display_id, id),
    CONSTRAINT timeline_builds_display_id_fkey FOREIGN KEY(display_id) REFERENCES displays (id) ON DELETE CASCADE
);

COMMENT ON COLUMN timeline_builds.inputs IS 'what the plan was made from';

COMMENT ON COLUMN timeline_builds.plan IS 'every position: block, post, reason';

CREATE TABLE playlist_blocks (
    id UUID DEFAULT uuidv7() NOT NULL,
    playlist_id UUID NOT NULL,
    search_term TEXT NOT NULL,
    video_count INTEGER NOT NULL,
    fetch_mode TEXT DEFAULT 'random' NOT NULL,
    format TEXT DEFAULT 'mixed' NOT NULL,
    block_order INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    times_played INTEGER DEFAULT 0 NOT NULL,
    last_played_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT playlist_blocks_pkey PRIMARY KEY (id),
    CONSTRAINT playlist_blocks_search_term_length_check CHECK (char_length(search_term) <= 200),
    CONSTRAINT playlist_blocks_search_term_words_check CHECK (search_term ~ '(^|\s)[^-\s]'),
    CONSTRAINT playlist_blocks_search_term_dashes_check CHECK (search_term !~ '(^|\s)-(\s|$)'),
    CONSTRAINT playlist_blocks_video_count_check CHECK (video_count BETWEEN 1 AND 500),
    CONSTRAINT playlist_blocks_fetch_mode_check CHECK (fetch_mode IN ('newest', 'random')),
    CONSTRAINT playlist_blocks_format_check CHECK (format IN ('mixed', 'wide', 'tall')),
    CONSTRAINT playlist_blocks_block_order_check CHECK (block_order >= 0),
    CONSTRAINT playlist_blocks_playlist_id_block_order_key UNIQUE (playlist_id, block_order) DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT playlist_blocks_playlist_id_fkey FOREIGN KEY(playlist_id) REFERENCES playlists (id) ON DELETE CASCADE
);

CREATE TABLE timeline_videos (
    id UUID DEFAULT uuidv7() NOT NULL,
    display_id TEXT NOT NULL,
    build_id BIGINT NOT NULL,
    playlist_id UUID NOT NULL,
    block_id UUID NOT NULL,
    video_id TEXT NOT NULL,
    block_position INTEGER NOT NULL,
    timeline_position INTEGER NOT NULL,
    loop_iteration INTEGER NOT NULL,
    queue_slot SMALLINT NOT NULL,
    status TEXT DEFAULT 'queued' NOT NULL,
    played_at TIMESTAMP WITH TIME ZONE,
    video_data JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT timeline_videos_pkey PRIMARY KEY (id),
    CONSTRAINT timeline_videos_status_check CHECK (status IN ('queued', 'playing', 'played', 'skipped')),
    CONSTRAINT timeline_videos_queue_slot_check CHECK (queue_slot BETWEEN 0 AND 9),
    CONSTRAINT timeline_videos_positions_check CHECK (block_position >= 0 AND timeline_position >= 0 AND loop_iteration >= 0),
    CONSTRAINT timeline_videos_display_id_queue_slot_key UNIQUE (display_id, queue_slot) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT timeline_videos_display_id_loop_iteration_timeline_position_key UNIQUE (display_id, loop_iteration, timeline_position),
    CONSTRAINT timeline_videos_active_build_fkey FOREIGN KEY(display_id, build_id) REFERENCES displays (id, active_build_id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT timeline_videos_display_id_fkey FOREIGN KEY(display_id) REFERENCES displays (id) ON DELETE CASCADE,
    CONSTRAINT timeline_videos_playlist_id_fkey FOREIGN KEY(playlist_id) REFERENCES playlists (id) ON DELETE CASCADE
);

COMMENT ON COLUMN timeline_videos.queue_slot IS 'bounds a queue to ten rows';

ALTER TABLE displays ADD CONSTRAINT displays_active_build_id_fkey FOREIGN KEY(active_build_id) REFERENCES timeline_builds (id) DEFERRABLE INITIALLY DEFERRED;

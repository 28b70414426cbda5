CREATE TABLE display_tags (
    display_id text REFERENCES displays ON DELETE CASCADE,
    tag text,
    PRIMARY KEY (display_id, tag),
    CONSTRAINT display_tags_tag_check CHECK (tag ~ '^[^\s,]{1,40}$')
);
COMMENT ON TABLE display_tags IS 'words by which people choose displays';
COMMENT ON COLUMN display_tags.tag IS 'a word in lower case';
CREATE INDEX display_tags_tag_idx ON display_tags (tag);

CREATE TABLE templates (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT templates_name_filled_check CHECK (btrim(name) <> '')
);
COMMENT ON TABLE templates IS
    'playlists that many displays follow: each has a copy, kept equal by every edit';

CREATE TABLE template_blocks (
    template_id uuid REFERENCES templates ON DELETE CASCADE,
    block_order integer,
    search_term text NOT NULL,
    video_count integer NOT NULL,
    fetch_mode text NOT NULL,
    format text NOT NULL,
    PRIMARY KEY (template_id, block_order),
    CONSTRAINT template_blocks_video_count_check CHECK (video_count BETWEEN 1 AND 500),
    CONSTRAINT template_blocks_fetch_mode_check CHECK (fetch_mode IN ('newest', 'random')),
    CONSTRAINT template_blocks_format_check CHECK (format IN ('mixed', 'wide', 'tall')),
    CONSTRAINT template_blocks_block_order_check CHECK (block_order >= 0)
);

ALTER TABLE playlists ADD COLUMN template_id uuid
    CONSTRAINT playlists_template_id_fkey REFERENCES templates ON DELETE SET NULL;
COMMENT ON COLUMN playlists.template_id IS 'the template that it follows';
CREATE INDEX playlists_template_id_idx ON playlists (template_id) WHERE template_id IS NOT NULL;

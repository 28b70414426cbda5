CREATE TABLE display_remotes (
    display_id text PRIMARY KEY REFERENCES displays ON DELETE CASCADE,
    volume integer NOT NULL DEFAULT 100,
    sound_id uuid,
    seek_id uuid,
    seek_entry uuid,
    seek_seconds double precision,
    reported jsonb,
    reported_at timestamptz,
    CONSTRAINT display_remotes_volume_check CHECK (volume BETWEEN 0 AND 100)
) WITH (fillfactor = 70);
COMMENT ON TABLE display_remotes IS
    'the volume and the place that players are told, and what they report';
COMMENT ON COLUMN display_remotes.volume IS 'in percent';
COMMENT ON COLUMN display_remotes.sound_id IS
    'new whenever the sound is told, so that a player obeys it once';
COMMENT ON COLUMN display_remotes.seek_id IS 'new for each seek, so that a player obeys it once';
COMMENT ON COLUMN display_remotes.seek_entry IS 'the queue row that it is for';
COMMENT ON COLUMN display_remotes.reported IS 'what the player last said that it does';

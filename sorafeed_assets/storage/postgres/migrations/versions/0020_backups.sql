CREATE TABLE backups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at timestamptz NOT NULL,
    folder text NOT NULL,
    bytes bigint NOT NULL,
    seconds double precision NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE backups IS
    'complete backups of this database and Dagster''s; alerts watch the age of the last';
COMMENT ON COLUMN backups.made_at IS 'the moment whose rows it has';
COMMENT ON COLUMN backups.folder IS 'on the machine that made it';
COMMENT ON COLUMN backups.seconds IS 'how long it took';

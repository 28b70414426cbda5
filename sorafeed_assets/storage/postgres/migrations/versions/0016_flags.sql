CREATE TABLE flag_versions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    flag TEXT NOT NULL,
    version INTEGER NOT NULL,
    definition JSONB NOT NULL,
    changed_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    displays INTEGER NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT flag_versions_pkey PRIMARY KEY (id),
    CONSTRAINT flag_versions_texts_filled_check
        CHECK (btrim(changed_by) <> '' AND btrim(reason) <> ''),
    CONSTRAINT flag_versions_flag_version_key UNIQUE (flag, version)
);

COMMENT ON TABLE flag_versions IS
    'every definition that a flag ever had; the last one is true now';
COMMENT ON COLUMN flag_versions.version IS 'counts the definitions of the flag';
COMMENT ON COLUMN flag_versions.definition IS 'in flagd''s JSON';
COMMENT ON COLUMN flag_versions.changed_by IS 'a token''s name or a command';
COMMENT ON COLUMN flag_versions.displays IS 'how many displays had another value then';

CREATE TABLE flag_assignments (
    flag TEXT NOT NULL,
    display_id TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT flag_assignments_pkey PRIMARY KEY (flag, display_id)
);

COMMENT ON TABLE flag_assignments IS
    'displays that keep the value of a share that has shrunk';

-- Every stored plan was made by the first planner.
ALTER TABLE timeline_builds ADD COLUMN planner TEXT DEFAULT 'in_order' NOT NULL;
COMMENT ON COLUMN timeline_builds.planner IS 'the planner that made the plan';

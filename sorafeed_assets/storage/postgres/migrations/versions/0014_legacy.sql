CREATE TABLE legacy_cursors (
    name TEXT NOT NULL,
    indexed_at TIMESTAMP WITH TIME ZONE,
    id TEXT DEFAULT '' NOT NULL,
    is_complete BOOLEAN DEFAULT false NOT NULL,
    looked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT legacy_cursors_pkey PRIMARY KEY (name)
);

COMMENT ON TABLE legacy_cursors IS 'how far the old system''s catalogue is copied';
COMMENT ON COLUMN legacy_cursors.name IS 'creators or posts';
COMMENT ON COLUMN legacy_cursors.indexed_at IS
    'posts: of the last post that was copied; creators: when their copy began';
COMMENT ON COLUMN legacy_cursors.id IS 'of the last copied row';
COMMENT ON COLUMN legacy_cursors.looked_at IS
    'when the old catalogue was last read to its end';

CREATE TABLE legacy_comparisons (
    part TEXT NOT NULL,
    old_rows BIGINT NOT NULL,
    our_rows BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    only_here BIGINT NOT NULL,
    compared_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT legacy_comparisons_pkey PRIMARY KEY (part)
);

COMMENT ON TABLE legacy_comparisons IS
    'the last comparison of each part of the catalogue with the old system''s';
COMMENT ON COLUMN legacy_comparisons.part IS 'a catalog day, undated, or creators';
COMMENT ON COLUMN legacy_comparisons.missing IS 'rows that were missing here';
COMMENT ON COLUMN legacy_comparisons.changed IS 'rows that differed here';
COMMENT ON COLUMN legacy_comparisons.only_here IS 'rows that only exist here';

CREATE TABLE legacy_imports (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    imported_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT legacy_imports_pkey PRIMARY KEY (kind, id),
    CONSTRAINT legacy_imports_kind_check
        CHECK (kind IN ('display', 'playlist', 'active', 'plays'))
);

COMMENT ON TABLE legacy_imports IS
    'what was imported from the old system''s queues: tells which side changed since';
COMMENT ON COLUMN legacy_imports.digest IS 'of what both sides had then';

CREATE TABLE legacy_problems (
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    problem TEXT NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT legacy_problems_pkey PRIMARY KEY (kind, place, problem)
);

COMMENT ON TABLE legacy_problems IS
    'what the last import of the old system''s queues did not import, and why';

CREATE TABLE legacy_queues (
    path TEXT NOT NULL,
    change_counter BIGINT NOT NULL,
    figures JSONB NOT NULL,
    imported_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT legacy_queues_pkey PRIMARY KEY (path)
);

COMMENT ON TABLE legacy_queues IS 'the last import of each file of queues';
COMMENT ON COLUMN legacy_queues.change_counter IS 'of the file, when it was read';

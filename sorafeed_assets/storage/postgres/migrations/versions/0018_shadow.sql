ALTER TABLE legacy_comparisons ADD COLUMN old_digest TEXT;

COMMENT ON COLUMN legacy_comparisons.old_digest IS 'of the part''s rows there';

CREATE TABLE shadow_comparisons (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    part TEXT DEFAULT '' NOT NULL,
    outcome TEXT NOT NULL,
    rules JSONB NOT NULL,
    detail TEXT NOT NULL,
    figures JSONB NOT NULL,
    old_seconds DOUBLE PRECISION,
    our_seconds DOUBLE PRECISION,
    old_statements INTEGER,
    our_statements INTEGER,
    compared_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT shadow_comparisons_pkey PRIMARY KEY (id),
    CONSTRAINT shadow_comparisons_kind_check
        CHECK (kind IN ('count', 'timeline', 'queue', 'plays', 'page')),
    CONSTRAINT shadow_comparisons_outcome_check
        CHECK (outcome IN ('same', 'expected', 'unexplained', 'not_compared'))
);

COMMENT ON TABLE shadow_comparisons IS
    'what comparing this system with the old one from the same state found';
COMMENT ON COLUMN shadow_comparisons.subject IS 'a search term, or a display';
COMMENT ON COLUMN shadow_comparisons.part IS 'of a count: format';
COMMENT ON COLUMN shadow_comparisons.rules IS
    'names of the old system''s faults that explain it';
COMMENT ON COLUMN shadow_comparisons.detail IS 'the differences in words';
COMMENT ON COLUMN shadow_comparisons.figures IS 'counts and scores of both sides';
COMMENT ON COLUMN shadow_comparisons.old_seconds IS
    'what the old side took; null if it was not measured';

CREATE INDEX shadow_comparisons_compared_at_idx ON shadow_comparisons (compared_at);
CREATE INDEX shadow_comparisons_kind_idx
    ON shadow_comparisons (kind, subject, part, compared_at);

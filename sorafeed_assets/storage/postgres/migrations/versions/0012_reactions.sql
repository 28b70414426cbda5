CREATE TABLE reactions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    display_id TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    is_observed BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT reactions_pkey PRIMARY KEY (id)
);

CREATE INDEX reactions_display_id_idx ON reactions (display_id, queued_at);

CREATE INDEX reactions_queued_at_idx ON reactions (queued_at);

CREATE INDEX reactions_not_observed_idx ON reactions (id) WHERE NOT is_observed;

COMMENT ON TABLE reactions IS
    'how soon changes of displays were queued, told and started; kept for an hour';

COMMENT ON COLUMN reactions.sent_at IS
    'when a page or player was sent the event of it first';

COMMENT ON COLUMN reactions.started_at IS
    'when the player started a video first after it';

CREATE TABLE rollouts (
    name text PRIMARY KEY,
    flag text NOT NULL,
    value text NOT NULL,
    steps jsonb NOT NULL,
    signals jsonb NOT NULL,
    usual jsonb NOT NULL,
    status text NOT NULL,
    step integer NOT NULL,
    percent double precision NOT NULL,
    since timestamptz NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    evaluated_at timestamptz,
    verdict text,
    comparisons jsonb,
    CONSTRAINT rollouts_status_check CHECK (
        status IN ('running', 'paused', 'forced', 'completed', 'rolled_back', 'stopped')),
    CONSTRAINT rollouts_verdict_check CHECK (verdict IN ('pass', 'fail', 'inconclusive')),
    CONSTRAINT rollouts_place_check CHECK (percent BETWEEN 0 AND 100 AND step >= 0)
);
COMMENT ON TABLE rollouts IS
    'what is rolled out to a growing share of displays, and how far';
COMMENT ON COLUMN rollouts.name IS 'its name, for people';
COMMENT ON COLUMN rollouts.flag IS 'the flag';
COMMENT ON COLUMN rollouts.value IS 'what displays in the share get';
COMMENT ON COLUMN rollouts.steps IS 'shares in percent, and seconds';
COMMENT ON COLUMN rollouts.signals IS 'what is compared';
COMMENT ON COLUMN rollouts.usual IS
    'signal, display: the part that went wrong in the hour before';
COMMENT ON COLUMN rollouts.status IS 'what it does';
COMMENT ON COLUMN rollouts.step IS 'its step, from 0';
COMMENT ON COLUMN rollouts.percent IS 'the share that its flag must have';
COMMENT ON COLUMN rollouts.since IS 'when the step began';
COMMENT ON COLUMN rollouts.reason IS 'why it came here';
COMMENT ON COLUMN rollouts.evaluated_at IS 'when it was last evaluated';
COMMENT ON COLUMN rollouts.verdict IS 'of the last evaluation';
COMMENT ON COLUMN rollouts.comparisons IS 'each signal of the last evaluation';
CREATE UNIQUE INDEX rollouts_one_per_flag_idx ON rollouts (flag)
    WHERE status IN ('running', 'paused', 'forced');

CREATE TABLE rollout_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout text NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    status text NOT NULL,
    step integer NOT NULL,
    percent double precision NOT NULL,
    reason text NOT NULL,
    displays integer NOT NULL
);
COMMENT ON TABLE rollout_changes IS 'every step of every rollout';
COMMENT ON COLUMN rollout_changes.changed_by IS 'a token''s name, a command, or the rollout';
COMMENT ON COLUMN rollout_changes.displays IS 'how many displays had another value then';
CREATE INDEX rollout_changes_rollout_idx ON rollout_changes (rollout, id);

CREATE TABLE play_failures (
    timeline_video_id uuid PRIMARY KEY,
    display_id text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE play_failures IS
    'plays whose video the player could not show; kept for a month';
COMMENT ON COLUMN play_failures.timeline_video_id IS 'of the play in video_history';
CREATE INDEX play_failures_display_id_idx ON play_failures (display_id, failed_at);
CREATE INDEX play_failures_failed_at_idx ON play_failures (failed_at);

CREATE TABLE display_requests (
    display_id text,
    minute timestamptz,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    PRIMARY KEY (display_id, minute)
);
COMMENT ON TABLE display_requests IS
    'the requests of each display''s player, by minute; kept for a day';
COMMENT ON COLUMN display_requests.errors IS 'those that failed at the server';
CREATE INDEX display_requests_minute_idx ON display_requests (minute);

CREATE TABLE figures (
    minute timestamptz PRIMARY KEY,
    low_queues integer NOT NULL,
    lineage_waiting integer NOT NULL
);
COMMENT ON TABLE figures IS
    'what cannot be read from other tables later, by minute; kept for a day';
COMMENT ON COLUMN figures.low_queues IS 'displays with fewer than 3 videos';
COMMENT ON COLUMN figures.lineage_waiting IS 'records that wait for Dagster';

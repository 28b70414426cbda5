CREATE TABLE play_hours (
    hour timestamptz PRIMARY KEY,
    plays bigint NOT NULL,
    skips bigint NOT NULL,
    repeats bigint NOT NULL
);
COMMENT ON TABLE play_hours IS 'how much was played, by hour';
COMMENT ON COLUMN play_hours.hour IS 'its start';
COMMENT ON COLUMN play_hours.skips IS 'plays that were skipped';
COMMENT ON COLUMN play_hours.repeats IS 'plays of a video that the display had played before';

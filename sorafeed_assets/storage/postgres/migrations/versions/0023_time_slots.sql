CREATE TABLE time_slots (
    id uuid DEFAULT uuidv7() NOT NULL PRIMARY KEY,
    playlist_id uuid NOT NULL REFERENCES playlists ON DELETE CASCADE,
    days smallint[] NOT NULL,
    starts time(0) NOT NULL,
    ends time(0) NOT NULL,
    time_zone text NOT NULL,
    first_day date,
    last_day date,
    priority integer DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT time_slots_days_check CHECK (
        array_ndims(days) = 1 AND cardinality(days) BETWEEN 1 AND 7
        AND days <@ ARRAY[1, 2, 3, 4, 5, 6, 7]::smallint[]),
    CONSTRAINT time_slots_times_check CHECK (starts < '24:00' AND ends < '24:00'),
    CONSTRAINT time_slots_dates_check CHECK (first_day <= last_day),
    CONSTRAINT time_slots_priority_check CHECK (priority BETWEEN 0 AND 100)
);
COMMENT ON TABLE time_slots IS 'when a playlist is active by the clock';
COMMENT ON COLUMN time_slots.days IS 'of the week on which it begins, from 1, Monday, to 7';
COMMENT ON COLUMN time_slots.starts IS 'by the clock of its time zone';
COMMENT ON COLUMN time_slots.ends IS 'on the next day, unless after it starts';
COMMENT ON COLUMN time_slots.time_zone IS 'such as Europe/Vienna';
COMMENT ON COLUMN time_slots.first_day IS 'on which it begins; null for no bound';
COMMENT ON COLUMN time_slots.last_day IS 'on which it begins; null for no bound';
COMMENT ON COLUMN time_slots.priority IS
    'of slots that overlap the highest wins, then the one that began last';
CREATE INDEX time_slots_playlist_id_idx ON time_slots (playlist_id);

CREATE TABLE timetables (
    display_id text NOT NULL PRIMARY KEY REFERENCES displays ON DELETE CASCADE,
    base_id uuid REFERENCES playlists ON DELETE SET NULL,
    held_since timestamptz,
    due_at timestamptz,
    decided_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
COMMENT ON TABLE timetables IS 'the displays whose playlists have time slots';
COMMENT ON COLUMN timetables.base_id IS 'the playlist that is active outside the time slots';
COMMENT ON COLUMN timetables.held_since IS
    'when its active playlist was activated by hand, to stay until the next switch';
COMMENT ON COLUMN timetables.due_at IS 'its next switch, or when to look for it again';
COMMENT ON COLUMN timetables.decided_at IS 'by the database''s clock';
CREATE INDEX timetables_base_id_idx ON timetables (base_id);
CREATE INDEX timetables_due_at_idx ON timetables (due_at);
CREATE INDEX timetables_decided_at_idx ON timetables (decided_at);

CREATE TABLE post_durations (
    post_id text NOT NULL PRIMARY KEY,
    duration_ms integer NOT NULL,
    told_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT post_durations_duration_check CHECK (duration_ms BETWEEN 100 AND 86400000)
);
COMMENT ON TABLE post_durations IS 'how long videos are, as players told it last';
CREATE INDEX post_durations_told_at_idx ON post_durations (told_at);

CREATE FUNCTION note_time_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT DISTINCT p.display_id FROM changed_rows s JOIN playlists p ON p.id = s.playlist_id;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_time_slot_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT display_id FROM playlists WHERE id IN (old.playlist_id, new.playlist_id);
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_timetable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) VALUES (new.display_id);
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER time_slots_inserted AFTER INSERT ON time_slots
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_time_slots();
CREATE TRIGGER time_slots_deleted AFTER DELETE ON time_slots
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_time_slots();
CREATE TRIGGER time_slots_updated AFTER UPDATE ON time_slots
    FOR EACH ROW EXECUTE FUNCTION note_time_slot_update();
CREATE TRIGGER timetables_inserted AFTER INSERT ON timetables
    FOR EACH ROW EXECUTE FUNCTION note_timetable();
CREATE TRIGGER timetables_updated AFTER UPDATE OF base_id, held_since ON timetables
    FOR EACH ROW EXECUTE FUNCTION note_timetable();

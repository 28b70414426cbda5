"""Displays, playlists, blocks and time slots: each change is noted in `display_changes`."""

from typing import Final

OBJECTS: Final = """
-- Settling a display writes playlists too, and has not to be told of that.
CREATE FUNCTION is_settling() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN coalesce(current_setting('sorafeed.is_settling', true), '') = 'on';

CREATE FUNCTION note_displays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) SELECT id FROM changed_rows;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_playlists() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) SELECT DISTINCT display_id FROM changed_rows;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_blocks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT DISTINCT p.display_id FROM changed_rows b JOIN playlists p ON p.id = b.playlist_id;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_playlist_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id) VALUES (new.display_id);
        IF old.display_id <> new.display_id THEN
            INSERT INTO display_changes (display_id) VALUES (old.display_id);
        END IF;
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_block_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT is_settling() THEN
        INSERT INTO display_changes (display_id)
        SELECT display_id FROM playlists WHERE id IN (old.playlist_id, new.playlist_id);
        NOTIFY sorafeed_changes;
    END IF;
    RETURN NULL;
END $$;

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

CREATE TRIGGER displays_inserted AFTER INSERT ON displays
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_displays();
CREATE TRIGGER displays_deleted AFTER DELETE ON displays
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_displays();
CREATE TRIGGER playlists_inserted AFTER INSERT ON playlists
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_playlists();
CREATE TRIGGER playlists_deleted AFTER DELETE ON playlists
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_playlists();
CREATE TRIGGER playlist_blocks_inserted AFTER INSERT ON playlist_blocks
    REFERENCING NEW TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_blocks();
CREATE TRIGGER playlist_blocks_deleted AFTER DELETE ON playlist_blocks
    REFERENCING OLD TABLE AS changed_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_blocks();
-- By row and by column: advancing a display updates its playlist and blocks too, all day long.
CREATE TRIGGER playlists_updated
    AFTER UPDATE OF display_id, created_at, is_active, is_new ON playlists
    FOR EACH ROW EXECUTE FUNCTION note_playlist_update();
CREATE TRIGGER playlist_blocks_updated
    AFTER UPDATE OF playlist_id, search_term, video_count, fetch_mode, format, block_order
    ON playlist_blocks
    FOR EACH ROW EXECUTE FUNCTION note_block_update();
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
"""

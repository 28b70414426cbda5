ALTER TABLE display_changes ADD COLUMN is_urgent BOOLEAN DEFAULT true NOT NULL;

COMMENT ON COLUMN display_changes.is_urgent IS
    'false when only new posts changed what the display may play';

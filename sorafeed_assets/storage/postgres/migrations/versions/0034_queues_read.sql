ALTER TABLE legacy_queues ADD COLUMN looked_at timestamptz;
COMMENT ON COLUMN legacy_queues.looked_at IS
    'when all that the file had was last known to be imported';

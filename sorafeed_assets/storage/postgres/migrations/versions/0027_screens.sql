CREATE TABLE screen_pairings (
    code text PRIMARY KEY,
    token_hash text NOT NULL,
    requested_from text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT screen_pairings_code_check CHECK (code ~ '^[A-Z2-9]{8}$'),
    CONSTRAINT screen_pairings_token_hash_key UNIQUE (token_hash)
);
COMMENT ON TABLE screen_pairings IS
    'screens that wait to be connected with a display; removed when they are';
COMMENT ON COLUMN screen_pairings.code IS 'what the screen shows and an admin enters';
COMMENT ON COLUMN screen_pairings.token_hash IS
    'SHA-256 of the screen''s secret, which becomes its token';
COMMENT ON COLUMN screen_pairings.requested_from IS 'the screen''s address';
CREATE INDEX screen_pairings_expires_at_idx ON screen_pairings (expires_at);

-- The API's login may not write tokens; by these it gives displays theirs, and revokes those.
CREATE FUNCTION add_screen_token(of_display text, its_name text, its_hash text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added uuid;
BEGIN
    IF NOT has_table_privilege(session_user, 'screen_pairings', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for screens';
    END IF;
    INSERT INTO api_tokens (role, display_id, name, token_hash)
    VALUES ('display', of_display, its_name, its_hash) RETURNING id INTO added;
    RETURN added;
END $$;

CREATE FUNCTION revoke_screen_token(of_display text, token uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT has_table_privilege(session_user, 'screen_pairings', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for screens';
    END IF;
    UPDATE api_tokens SET revoked_at = now()
    WHERE id = token AND role = 'display' AND display_id = of_display AND revoked_at IS NULL;
    RETURN FOUND;
END $$;

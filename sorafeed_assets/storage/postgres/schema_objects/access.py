"""Tokens of screens, which the API gives and revokes without writing to the table of tokens."""

from typing import Final

OBJECTS: Final = """
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
"""

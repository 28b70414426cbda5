CREATE TABLE signing_keys (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    private_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_keys IS
    'keys that sign the plans of players; the newest signs';
COMMENT ON COLUMN signing_keys.private_key IS 'ECDSA P-256, PKCS #8 in DER';

CREATE TABLE idempotency_keys (
    token_id UUID NOT NULL,
    key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    running_until TIMESTAMP WITH TIME ZONE NOT NULL,
    answer TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (token_id, key),
    CONSTRAINT idempotency_keys_key_length_check CHECK (char_length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_token_id_fkey FOREIGN KEY (token_id)
        REFERENCES api_tokens (id) ON DELETE CASCADE
);

CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

COMMENT ON TABLE idempotency_keys IS
    'requests that clients may repeat: a repeat gets the first answer; kept for a day';

COMMENT ON COLUMN idempotency_keys.running_until IS
    'prolonged by the server that executes the request; past without an answer, the outcome is unknown';

COMMENT ON COLUMN idempotency_keys.answer IS 'JSON as it was sent; null until the request is over';

CREATE TABLE api_tokens (
    id UUID DEFAULT uuidv7() NOT NULL,
    role TEXT NOT NULL,
    display_id TEXT,
    name TEXT NOT NULL,
    token_hash TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_role_check CHECK (role IN ('admin', 'reader', 'display')),
    CONSTRAINT api_tokens_display_check CHECK ((role = 'display') = (display_id IS NOT NULL)),
    CONSTRAINT api_tokens_name_filled_check CHECK (btrim(name) <> ''),
    CONSTRAINT api_tokens_token_hash_key UNIQUE (token_hash),
    CONSTRAINT api_tokens_display_id_fkey FOREIGN KEY (display_id)
        REFERENCES displays (id) ON DELETE CASCADE
);

COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which is not kept';

CREATE TABLE count_jobs (
    term TEXT NOT NULL,
    priority SMALLINT DEFAULT 0 NOT NULL,
    attempts SMALLINT DEFAULT 0 NOT NULL,
    run_after TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    problem TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT count_jobs_pkey PRIMARY KEY (term),
    CONSTRAINT count_jobs_attempts_check CHECK (attempts BETWEEN 0 AND 3),
    CONSTRAINT count_jobs_term_fkey FOREIGN KEY (term)
        REFERENCES search_terms (term) ON DELETE CASCADE
);

COMMENT ON TABLE count_jobs IS
    'terms that somebody waits for: counted ahead of the hourly refresh';

COMMENT ON COLUMN count_jobs.problem IS 'why the last attempt failed';

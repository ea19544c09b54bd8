-- A role that reads everything and changes nothing, and tokens of programs.
ALTER TABLE account DROP CONSTRAINT account_role_check;
ALTER TABLE account ADD CONSTRAINT account_role_check CHECK (role IN ('admin', 'user', 'viewer', 'writer'));

CREATE TABLE token (
    name                 text COLLATE "C" PRIMARY KEY,
    role                 text COLLATE "C" NOT NULL CHECK (role IN ('admin', 'user', 'viewer', 'writer')),
    hash                 bytea NOT NULL CHECK (length(hash) = 32),
    created_ms           bigint NOT NULL,
    expires_ms           bigint,
    used_ms              bigint,
    "user"               text COLLATE "C",
    clusters             text COLLATE "C"
);

COMMENT ON TABLE token IS
    'What programs send in place of a name and a password. The text of a token is not stored';
COMMENT ON COLUMN token.hash IS 'BLAKE2s-256 of the text';
COMMENT ON COLUMN token.expires_ms IS 'NULL for a token that is valid until it is removed';
COMMENT ON COLUMN token.used_ms IS 'the last use, to the hour; NULL for a token that nobody used';
COMMENT ON COLUMN token."user" IS 'whose queries a token of the role user or writer sees';
COMMENT ON COLUMN token.clusters IS
    'the clusters whose queries alone the token may see, as a JSON array; NULL for all queries';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        PERFORM create_reference_table('token');
    END IF;
END $$;

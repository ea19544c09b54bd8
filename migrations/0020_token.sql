-- A role that reads everything and changes nothing, and tokens of programs.

CREATE TABLE new_account (
    name           TEXT PRIMARY KEY,                 -- the user's name in Doris
    role           TEXT NOT NULL CHECK (role IN ('admin', 'user', 'viewer', 'writer')),
    password_hash  TEXT NOT NULL,                    -- argon2id, in the PHC form
    -- The clusters whose queries alone the account may see, as a JSON array; NULL for all queries.
    clusters       TEXT
) STRICT, WITHOUT ROWID;

INSERT INTO new_account SELECT name, role, password_hash, clusters FROM account;

DROP TABLE account;

ALTER TABLE new_account RENAME TO account;

-- What programs send in place of a name and a password. The text of a token is not stored.
CREATE TABLE token (
    name           TEXT    PRIMARY KEY,
    role           TEXT    NOT NULL CHECK (role IN ('admin', 'user', 'viewer', 'writer')),
    hash           BLOB    NOT NULL CHECK (length(hash) = 32), -- BLAKE2s-256 of the text
    created_ms     INTEGER NOT NULL,
    expires_ms     INTEGER,                          -- NULL for a token that is valid until it is removed
    used_ms        INTEGER,                          -- the last use, to the hour; NULL for a token that nobody used
    user           TEXT,                             -- whose queries a token of the role user or writer sees
    clusters       TEXT                              -- as in account
) STRICT, WITHOUT ROWID;

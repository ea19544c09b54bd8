-- The accounts of annals. Without any account, everybody on this machine may read and write.
CREATE TABLE account (
    name           TEXT PRIMARY KEY,                 -- the user's name in Doris
    role           TEXT NOT NULL CHECK (role IN ('admin', 'user', 'writer')),
    password_hash  TEXT NOT NULL                     -- argon2id, in the PHC form
) STRICT, WITHOUT ROWID;

-- Who may ask annals. Without any, everybody on this machine may.
CREATE TABLE account (
    name           TEXT PRIMARY KEY,                 -- as Doris calls the user
    role           TEXT NOT NULL CHECK (role IN ('admin', 'user', 'writer')),
    password_hash  TEXT NOT NULL                     -- argon2id, in the PHC form
) STRICT, WITHOUT ROWID;

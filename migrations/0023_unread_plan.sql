-- The profiles whose plan annals has not read yet: a source stores the profile alone, so that it does not wait. A row goes with its
-- profile, or once the plan is in `plan`.
CREATE TABLE unread_plan (
    query  INTEGER PRIMARY KEY REFERENCES profile (query) ON DELETE CASCADE,
    token  INTEGER NOT NULL                          -- another one for a profile that replaces one: what was read of that one is dropped
) STRICT;

-- An older annals noted unread profiles in `plan`.
INSERT INTO unread_plan (query, token) SELECT query, 0 FROM plan WHERE read_version = 0;
DELETE FROM plan WHERE read_version = 0;

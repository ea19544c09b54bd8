-- How far annals has read each audit table. Minutes are of the table's own local time, like 2024-01-02 11:15.

CREATE TABLE audit_table (
    name           TEXT    PRIMARY KEY,              -- as it is configured, or its address
    read_from      TEXT    NOT NULL,                 -- the rows from this minute on are stored; older ones are read next
    oldest     TEXT    NOT NULL                  -- the table has no rows before this minute
) STRICT, WITHOUT ROWID;

-- How many rows were read of each minute. A minute is read again once the table has another number.
CREATE TABLE audit_table_minute (
    name           TEXT    NOT NULL,
    minute         TEXT    NOT NULL,
    rows           INTEGER NOT NULL,
    PRIMARY KEY (name, minute)
) STRICT, WITHOUT ROWID;

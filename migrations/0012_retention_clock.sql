-- What retention remembers, so that neither a clock that jumps nor a restart makes it delete too much. One row, written
-- once a minute while annals serves a history with bounds.
CREATE TABLE retention_clock (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    trusted_ms     INTEGER NOT NULL,                 -- the time by which ages were counted last
    off_ms         INTEGER,                          -- the system clock, if more than a day off the trusted time
    off_for_ms     INTEGER,                          -- how long annals has run since it is off
    settled_query  INTEGER NOT NULL                  -- the newest row of query that had been stored for a minute then
) STRICT;

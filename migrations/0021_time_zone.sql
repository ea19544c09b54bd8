-- In which zone annals read the times that a source wrote without one, so that another zone does not go unnoticed, and times that
-- were read in a wrong one can be moved.
CREATE TABLE time_source (
    id             INTEGER PRIMARY KEY,
    source         TEXT    NOT NULL,                 -- as the status names it; empty if none was noted
    time_zone      TEXT    NOT NULL,                 -- IANA name; empty if none was noted
    shifted_ms     INTEGER NOT NULL,                 -- by how much `annals shift` moved the times since
    used_ms        INTEGER NOT NULL,                 -- when the source was read in the zone first, or again after another one
    UNIQUE (source, time_zone, shifted_ms)
) STRICT;

-- The row of time_source. 0 where the source wrote an instant, which depends on no zone. NULL where nobody knows: an annals before
-- this column stored the row, or it came by a merge.
ALTER TABLE query ADD COLUMN time_source INTEGER;
ALTER TABLE login ADD COLUMN time_source INTEGER;

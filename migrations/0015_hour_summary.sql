-- What the queries of an hour cost, in groups, so that a report over months reads some rows an hour. annals makes a row while it
-- serves, some hours after the hour's end, and removes it in the same transaction as it changes a query of the hour: such an hour is
-- read query by query until it has a row again. The table holds nothing that the queries do not say.
CREATE TABLE hour_summary (
    hour     INTEGER PRIMARY KEY,  -- hours since 1970 in UTC, by start of the queries
    token    INTEGER NOT NULL,     -- of the reading that makes the body
    version  INTEGER,              -- of the form of the body; NULL while it is being made
    body     BLOB
) STRICT;

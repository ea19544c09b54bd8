-- Finds the queries of a fingerprint: for the page of a statement, and to tell whether a normalized statement
-- still has a query when retention removes old ones.
CREATE INDEX query_by_fingerprint ON query (fingerprint, started_ms) WHERE fingerprint IS NOT NULL;

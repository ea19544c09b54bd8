-- From the shape of statements to its queries: what a statement's page lists, and whether a shape is still
-- that of any query when old ones go.
CREATE INDEX query_by_fingerprint ON query (fingerprint, started_ms) WHERE fingerprint IS NOT NULL;

-- The newest queries of one user without reading everybody's: what most people ask for, and all that those may
-- see who are no admins.
CREATE INDEX query_by_user ON query (user, started_ms);
